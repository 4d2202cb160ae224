// Package engine is the contract between a plan and whatever carries it out.
//
// It is the Docker Engine API, narrowed to what running Compose projects needs and written in that API's own types
// (github.com/docker/docker/api/types). An engine is reached through these interfaces only; whether it is embedded,
// behind a socket, in memory or wrapped by a decorator is not the caller's business. The suite in enginetest says in
// code what this page says in prose, and every implementation runs it.
//
// # Vocabulary
//
// An object (container, network, volume, image) is named by its full ID, by an unambiguous prefix of it, or by its
// name; a parameter called ref, id or name accepts all of them unless its comment says otherwise.
//
// A container is created, started, runs, exits, may be started again, and is removed. Its record (configuration, exit
// code, log) stays until it is removed.
//
// # Promises
//
//   - Every method may be called from several goroutines.
//   - A cancelled context makes a call return soon. What the call had begun is either finished or undone; it is never
//     left half done.
//   - What an engine acknowledges it has stored: it survives kill -9 of the engine's process.
//   - Starting what runs and stopping what has stopped is not an error. Removing or changing what is not there is an
//     error of kind not found, so that the caller decides.
//   - What a method returns belongs to the caller, who may change it. What a method is given it copies or leaves alone.
//   - Slices come back sorted by name, maps may be nil when empty, times are RFC 3339 with nanoseconds in UTC.
//
// # Errors
//
// Errors are of the kinds in errors.go and say which object they are about. The HTTP status of each kind is Docker's.
package engine

import (
	"context"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/system"
)

// Engine is everything an implementation offers. Consumers take the narrower interfaces that they need.
type Engine interface {
	System
	Images
	Builds
	Registries
	Networks
	Volumes
	Containers
	Execs
	Archives
	Syncs
}

// System describes the engine itself.
type System interface {
	// Version says which program this is, which version of the Docker Engine API it speaks, and on what it runs.
	Version(ctx context.Context) (types.Version, error)

	// Info counts the engine's objects and describes the host.
	Info(ctx context.Context) (system.Info, error)

	// Events streams what happens to the engine's objects, in the order in which it happened. The subscription holds
	// from the moment Events returns: what happens afterwards is delivered. The second channel yields exactly one
	// value, then the stream is over: the context's error, io.EOF when the engine went away or opts.Until passed, or
	// the cause. opts.Since replays what the engine remembers, which is at least the last 256 events.
	Events(ctx context.Context, opts events.ListOptions) (<-chan events.Message, <-chan error)
}
