package build

import (
	"fmt"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"
)

// sevenSteps is the Dockerfile of the cached-build budget.
const sevenSteps = "FROM busybox\nWORKDIR /srv\nCOPY a ./\nRUN cat a > b\nCOPY . ./all\nRUN echo 2 > two\nRUN echo 3 > three\nCMD [\"cat\"]\n"

func sevenStepFiles(service int) map[string]string {
	files := map[string]string{"Dockerfile": sevenSteps, "a": fmt.Sprint(service)}
	for i := range 50 {
		files[fmt.Sprintf("src/%d", i)] = fmt.Sprintf("file %d of %d", i, service)
	}
	return files
}

// BenchmarkCached is a fully cached build of seven steps, alone and five at once.
func BenchmarkCached(b *testing.B) {
	bench := newBench(b)
	for _, n := range []int{1, 5} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			build := func() {
				var all sync.WaitGroup
				for service := range n {
					all.Go(func() {
						opts := build.ImageBuildOptions{Tags: []string{fmt.Sprintf("service%d", service)}}
						if _, out, err := bench.build(opts, sevenStepFiles(service)); err != nil {
							b.Errorf("%v\n%s", err, out)
						}
					})
				}
				all.Wait()
			}
			build()
			for b.Loop() {
				build()
			}
		})
	}
}

// BenchmarkCachedOverBuildKit is the same build by BuildKit's own API.
func BenchmarkCachedOverBuildKit(b *testing.B) {
	bench := newBench(b)
	files := sevenStepFiles(0)
	dir := dirOf(b, files)
	opt := client.SolveOpt{
		Exports:     []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": "built"}}},
		Frontend:    frontendName,
		LocalMounts: map[string]fsutil.FS{"context": dir, "dockerfile": dir},
		SharedKey:   "the same", Internal: true,
	}
	for b.Loop() {
		if printed, err := bench.solve(opt); err != nil {
			b.Fatalf("%v\n%s", err, printed)
		}
	}
}

// BenchmarkStep is what one step that is not cached costs beyond the process itself.
func BenchmarkStep(b *testing.B) {
	bench := newBench(b)
	n := 0
	for b.Loop() {
		n++
		files := map[string]string{"Dockerfile": fmt.Sprintf("FROM busybox\nRUN true %d\n", n)}
		if _, out, err := bench.build(build.ImageBuildOptions{}, files); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}
