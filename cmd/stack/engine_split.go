//go:build split

package main

import (
	_ "embed"
	"strings"

	"stackrun.dev/stack/cmd/stack/internal/launch"
)

// With the tag split the engine is a program of its own that travels inside this one. Everything that an engine links
// (BuildKit, containerd) is initialised by the one process that needs it and not by every command.

//go:embed binary/stack-engine
var engineBytes string

//go:embed binary/stack-engine.sha256
var engineDigest string

// openEmbedded is nil: another program is the engine.
var openEmbedded launch.Opener

// apiVersion is not known here; the other program tells it.
const apiVersion = ""

// engineProgram unpacks the engine's program below the state root, once for each version.
func engineProgram(t launch.Target) (string, error) {
	digest, _, _ := strings.Cut(engineDigest, " ")
	return launch.Unpack(t, engineBytes, strings.TrimSpace(digest))
}
