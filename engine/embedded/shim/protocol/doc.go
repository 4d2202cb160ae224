// Package protocol is what an engine and a shim say to each other, and where their files are.
//
// # Transport
//
// A stream socket of the Unix domain carries frames: four bytes of length, most significant first, then that many bytes
// of JSON, one Message. File descriptors travel as SCM_RIGHTS with the first byte of a frame. The engine sends requests;
// the shim answers each with a reply of the same number, in whatever order they get done, and pushes events, which have
// the number 0. Either side closes the socket when it is finished or when it does not understand the other.
//
// The engine gives a new shim one end of a socket pair as descriptor 3. A later engine connects to the shim's socket,
// Dir.Socket. Any number of engines may be connected; all of them get the events.
//
// # Versions
//
// The first request on a connection is Hello. Its reply tells the shim's Version. An engine of another version may send
// Hello and Hold, which never change, and then replaces the shim by one of its own: it kills it, starts a new one and
// hands it, with Adopt, what Hold gave. A new shim begins to read what adopted containers write when it gets Hello, so
// that whoever was attached can be so again before. Containers do not notice.
package protocol

// Version changes whenever a message does, except Hello and Hold.
const Version = 2
