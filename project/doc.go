// Package project loads Compose files into a model, and says where in which file each value of the model stands.
//
// Loading is a pipeline:
//
//  1. find (find.go): which files make up the project: -f, COMPOSE_FILE, or the default names in the working directory
//     and its parents; and the variables: the caller's environment over --env-file or .env (env.go).
//  2. parse (parse.go): each document of a file to YAML nodes that know their line and column. Syntax, tabs, duplicate keys
//     and what has no end or bound are reported here (structure.go, bounds.go).
//  3. variables (interpolate.go, internal/variables): ${VARIABLES} in every value; unset ones are warnings, required ones
//     errors. What filled a value is kept with it.
//  4. check (schema.go, internal/schema, internal/grammar): the shape of each file: unknown keys, wrong types, and the values
//     that have a grammar, such as ports, durations, sizes and addresses.
//  5. merge (assembler.go, internal/merge): each document becomes a tree in its long form; what it includes (include.go) and
//     what its services extend (extends.go) is brought in, which takes files through phases 2 to 5; and it is merged over the
//     documents before it, by the rules of the specification. Files from elsewhere come through Options.Remotes (remote.go).
//  6. model (model.go, internal/model): the one tree is decoded into compose-go's types. Relative paths become absolute, each
//     as seen from the file that states it; env files and label files are read; what is implied is filled in.
//  7. validate (validate.go, references.go, published.go, addresses.go): what only the whole can tell: references to what is
//     not defined, cycles, duplicate ports.
//
// The trees (internal/tree) remember of each value where it was written, what it overrode and which variables filled it. The
// Project keeps the merged one, so that later mistakes can point at a line and Explain can tell where a value comes from.
//
// compose-go's own loader is not used. It is what tests compare with: the same files must give the same model. Where the
// specification says otherwise, the tests list the difference with its reason.
//
// What a user did wrong is an Error that quotes the line; several are collected in Errors. Everything else (a file that
// cannot be read) is an ordinary error.
//
// The package reads files and nothing else: the environment, standard input and what fetches remote files are handed in.
package project
