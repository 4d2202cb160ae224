package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stackrun.dev/stack/convergence/plan"
)

// updating is the text of services that are updated without a gap, of so many replicas each.
func updating(services, replicas int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range services {
		fmt.Fprintf(&b, "  s%d:\n    image: busybox\n    scale: %d\n    deploy: {update_config: {order: start-first, delay: 1s, monitor: 1s}}\n", i, replicas)
		if i > 0 {
			fmt.Fprintf(&b, "    depends_on: [s%d]\n", i/2)
		}
	}
	return b.String()
}

// The plan of an update grows with its containers, whether these are of many services or of one.
func TestUpdatesHaveFewEdges(t *testing.T) {
	for _, shape := range []func(n int) (services, replicas int){
		func(n int) (int, int) { return n, 1 },
		func(n int) (int, int) { return 1, n },
	} {
		per := func(n int) float64 {
			f, d := newFake(), load(t, updating(shape(n)))
			bringUp(t, f, d)
			moveImage(f)
			start := time.Now()
			p := observeAndPlan(t, f, d, plan.UpOptions{})
			t.Logf("%d: %d operations, %d edges, %s", n, len(p.Operations), edges(p), time.Since(start))
			return float64(edges(p)) / float64(n)
		}
		small, large := per(50), per(1000)
		if large > 1.1*small {
			t.Errorf("%.1f edges for each of 50 containers, %.1f for each of 1,000", small, large)
		}
	}
}
