// Package launch finds the engine that a command talks to, and starts, watches and ends the embedded one.
//
// An embedded engine is a process of its own ("stack engine run"), one per state root. Whoever holds the lock on
// <root>/engine.lock is the engine; it listens on <run>/engine.sock. A command that needs the engine opens a
// connection and keeps it, which is its [Lease]: while a lease is open the engine does not leave. If nobody listens,
// the command takes <run>/start.lock, looks again, and starts the engine detached from itself. Over a pipe that it
// inherited the engine says that it is ready, or why it cannot be; nothing here polls or sleeps.
//
// An engine on which nothing runs and to which nobody is connected leaves after a grace time. Containers do not depend
// on the engine: it may end at any moment, and the next one goes on where it was.
package launch
