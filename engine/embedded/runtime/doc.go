// Package runtime runs containers: it starts one shim process per group of containers, talks to it and survives it.
//
// A shim is the parent of its containers' first processes. It outlives the engine: while no engine is there it goes on
// writing logs, answering names and recording exits. Open finds the shims that run, starts successors for those that
// died and lets them adopt the containers that are still there.
//
// A container is created (its first process waits before executing the command), running, perhaps paused, and stopped.
// A stopped container is known, with its exit status, until Delete. To start it again, delete it and create it anew;
// nothing of the root file system is touched by either.
//
// Files below RunDir do not survive a reboot and need not: what they describe does not either.
package runtime
