package spec

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/opencontainers/runc/libcontainer/configs/validate"
	"github.com/opencontainers/runc/libcontainer/specconv"
)

// The runtime understands what is built, and finds nothing in it that does not go together.
func TestTheRuntimeTakesIt(t *testing.T) {
	cases := map[string]Input{"privileged": {
		Config: &container.Config{Cmd: []string{"true"}}, Host: &container.HostConfig{Privileged: true},
	}}
	for name, in := range goldenCases {
		in.Namespaces.Network = ""
		cases[name] = in
	}
	for name, in := range cases {
		t.Run(name, func(t *testing.T) {
			in.CgroupV2 = UnifiedCgroups()
			s := build(t, in)
			s.Root.Path = t.TempDir()
			cfg, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: "x", Spec: s})
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Validate(cfg); err != nil {
				t.Fatal(err)
			}
		})
	}
}
