// Package project loads Compose files into a model, and says where in which file each value of the model stands.
//
// Loading is a pipeline; each phase is one file of this package:
//
//  1. find (find.go): which files make up the project: -f, COMPOSE_FILE, or the default names in the working directory
//     and its parents; and the variables: the caller's environment over --env-file or .env (env.go).
//  2. parse (parse.go): YAML to nodes that know their line and column; tabs, syntax and duplicate keys are reported here.
//     Files that are included or extended are parsed as well.
//  3. interpolate (interpolate.go): ${VARIABLES} in every value; unset ones are warnings, required ones errors.
//  4. check (schema.go, values.go): the shape of each file against the Compose specification's schema: unknown keys,
//     wrong types, and the values that have a grammar (ports, durations, sizes, addresses).
//  5. merge (model.go): compose-go merges the files and resolves include, extends, env_file and relative paths.
//  6. validate (validate.go): what only the whole can tell: references to what is not defined, cycles, duplicate ports.
//
// What a user did wrong is an Error that quotes the line; several are collected in Errors. Everything else (a file that
// cannot be read) is an ordinary error.
//
// The package reads files and nothing else: the environment and standard input are handed in.
package project
