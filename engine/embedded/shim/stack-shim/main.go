// Command stack-shim is the process that containers belong to. The engine starts it; nobody else does.
//
//	stack-shim DIR CACHE GROUP   with a connected socket as descriptor 3 and this program as 4: be a shim
//	stack-shim init              be the first process of a container; libcontainer starts it
//	/proc/self/fd/3 ...          be the last step before a container's command (package stub)
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	_ "github.com/opencontainers/cgroups/devices"
	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter"

	"stackrun.dev/stack/engine/embedded/logs"
	"stackrun.dev/stack/engine/embedded/shim"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "init" {
		libcontainer.Init()
	}
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "stack-shim is started by stack")
		os.Exit(2)
	}
	debug.SetGCPercent(50) // it lives long and allocates little
	err := shim.Run(shim.Config{
		Dir: protocol.Dir(os.Args[1]), Cache: os.Args[2], Group: os.Args[3], NewLog: newLog,
		Self: os.NewFile(4, "stack-shim"),
	}, os.NewFile(3, "engine"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack-shim:", err)
		os.Exit(1)
	}
}

func newLog(c protocol.LogConfig) (shim.Log, error) {
	w, err := logs.NewWriter(logs.Config{Path: c.Path, MaxSize: c.MaxSize, MaxFile: c.MaxFile})
	if err != nil {
		return nil, err
	}
	return w, nil
}
