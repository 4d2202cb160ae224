// Package enginetest says in code what the contract in package engine says in prose. Every implementation runs the
// suite in a few lines, and a behaviour that a caller relies on is tested here rather than in one implementation.
//
// The images' commands are those of Busybox, written so that an engine without processes can interpret them: simple
// commands joined by ;, && and ||, redirections to files, variables, trap, and jobs in the background.
package enginetest

import (
	"context"
	"net"
	"testing"

	"stackrun.dev/stack/engine"
)

// Subject is an engine to test.
type Subject struct {
	Engine engine.Engine

	// Image names an image in the engine with the files of Rootfs. ImportImage makes it.
	Image string

	// Dial connects to a published port. nil: from this process.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Registry is the address of an empty registry that the engine reaches without encryption, for example
	// "127.0.0.1:5000". Without one, pulling and pushing is not tested. Package registry starts one.
	Registry string

	// Lacks names what an old engine does not have; everything else is tested.
	Lacks Lacks
}

// Lacks lists what Docker 20.10, the oldest engine that is supported, does differently from the contract.
type Lacks struct {
	// UnendedLines: its log driver ends every line, also one that the process did not end.
	UnendedLines bool

	// ExitCodesOfRestarted: who waits for an exit that a restart follows is told the exit code of the new run, which is 0,
	// if the restart was faster than the answer.
	ExitCodesOfRestarted bool
}

// Run runs the suite on one engine.
func Run(t *testing.T, start func(t testing.TB) Subject) {
	s := suite{start(t)}
	if s.Dial == nil {
		s.Dial = new(net.Dialer).DialContext
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(s.begin(t))
				})
			}
		})
	}
}

type suite struct{ Subject }

type group struct {
	name  string
	cases []testCase
}

type testCase struct {
	name string
	run  func(f *fixture)
}

var groups = []group{
	{"System", systemCases},
	{"Lifecycle", lifecycleCases},
	{"ExitCodes", exitCases},
	{"Restart", restartCases},
	{"Wait", waitCases},
	{"Names", nameCases},
	{"Lists", listCases},
	{"Inspect", inspectCases},
	{"Logs", logCases},
	{"Attach", attachCases},
	{"Exec", execCases},
	{"Networks", networkCases},
	{"Ports", portCases},
	{"Handover", whereHandedOver(handoverCases)},
	{"Volumes", volumeCases},
	{"Health", healthCases},
	{"Events", eventCases},
	{"Images", imageCases},
	{"BuildKit", buildKitCases},
	{"Registry", registryCases},
	{"Build", buildCases},
	{"Archives", archiveCases},
	{"Mounted", mountedCases},
	{"Syncs", syncCases},
	{"Errors", errorCases},
	{"Concurrency", concurrencyCases},
}
