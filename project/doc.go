// Package project loads Compose files into a model, and says where in which file each value of the model stands.
//
// Loading is a pipeline:
//
//  1. find (find.go, env.go): which files make up the project: -f, COMPOSE_FILE, or the default names in the working
//     directory and its parents; and the variables: the caller's environment over --env-file or .env.
//  2. parse (parse.go, structure.go): YAML to nodes that know their line and column; syntax, tabs, duplicate keys, circular
//     aliases and what is too large are reported here.
//  3. interpolate (interpolate.go): ${VARIABLES} in every value; unset ones are warnings, required ones errors.
//  4. check (schema.go, shapes.go): the shape of each file against the Compose specification's schema: unknown keys, wrong
//     types, and the values that have a grammar (ports, durations, sizes, addresses).
//  5. merge (assembler.go, include.go, extends.go, remote.go; internal/merge): each file becomes a tree of values that know
//     where they were written; what it includes is put under it, services are put over those that they extend, and files
//     over those before them. Phases 2 to 4 happen here for each file that is named by another one, since the name may
//     have variables.
//  6. model (model.go; internal/model): the tree as the types of compose-go: paths absolute, defaults and names filled in,
//     environments completed.
//  7. validate (validate.go): what only the whole can tell: references to what is not defined, cycles, duplicate ports.
//
// The tree stays with the Project, so that every value can be traced to a line, through include and extends (place.go).
// compose-go's own loader is the oracle of the tests: the same files make the same model, but for what the tests list.
//
// What a user did wrong is an Error that quotes the line; several are collected in Errors. Everything else (a file of the
// command line that cannot be read) is an ordinary error. Nothing in a file makes loading take more than bounded time and
// memory (bounds.go).
//
// The package reads files and nothing else: the environment, standard input and what fetches remote files are handed in.
package project
