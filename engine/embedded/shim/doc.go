// Package shim is the process that containers belong to: the parent of their first processes, the reader of what they
// write, the writer of their logs, their name server. It holds all that must go on when the engine is gone.
//
// What it must not lose it has on disk (package protocol, Dir), so that it may be killed at any moment too: its
// successor reads the records and adopts the containers. Their pipes are FIFOs, which they keep open themselves, and
// their exit status is asked of the kernel through a pidfd.
//
// There is one shim per group of containers. It has a mount namespace of its own, in which a root file system is
// attached only until the container's first process has moved into it, so that no container's mounts are seen outside.
package shim
