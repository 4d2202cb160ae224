package sim

import (
	"errors"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/plan"
)

const backNetwork = `
services:
  web: {image: web, networks: {back: {aliases: [w], ipv4_address: 10.9.0.7}}}
  jobs: {image: web, networks: [back]}
networks: {back: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}
`

// A network that the engine does not want as the file says is brought back, with everybody on it: also with orphans.
func TestANetworkThatCannotBeMadeAnew(t *testing.T) {
	for _, failing := range []string{"create network", "remove network"} {
		t.Run(failing, func(t *testing.T) {
			f := newFake()
			up(t, f, want(t, backNetwork), plan.UpOptions{})
			before, refused := f.networks["x_back"].IPAM.Config[0].Subnet, 0
			f.before = func(call string) error {
				if strings.HasPrefix(call, failing) && refused == 0 {
					refused++
					return errInjected
				}
				return nil
			}
			changed := want(t, strings.ReplaceAll(strings.ReplaceAll(withoutJobs, "10.9.0.0", "10.8.0.0"), "10.9.0.7", "10.8.0.7"))
			_, err := convergence.Run(t.Context(), f, changed, convergence.Options{}, nil)
			if !errors.Is(err, errInjected) || refused != 1 {
				t.Fatalf("got %v", err)
			}
			n := f.networks["x_back"]
			if n == nil || n.IPAM.Config[0].Subnet != before {
				t.Fatalf("the old network is not back: %+v", n)
			}
			for _, name := range []string{"x-web-1", "x-jobs-1"} {
				if r, err := f.find(name); err != nil || !r.networks["x_back"] || r.status != "running" {
					t.Errorf("%s is not as before: %+v, %v", name, r, err)
				}
			}
			f.before = nil
			up(t, f, want(t, backNetwork), plan.UpOptions{})
			up(t, f, changed, plan.UpOptions{})
		})
	}
}

var withoutJobs = strings.ReplaceAll(backNetwork, "  jobs: {image: web, networks: [back]}\n", "")
