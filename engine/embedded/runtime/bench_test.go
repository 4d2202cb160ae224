package runtime

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is what this process, the shims and their containers have used.
func (w *world) cpu() time.Duration {
	var own unix.Rusage
	must(w.tb, unix.Getrusage(unix.RUSAGE_SELF, &own))
	total := time.Duration(own.Utime.Nano() + own.Stime.Nano())
	pids := w.shims()
	states, err := w.List(context.Background())
	must(w.tb, err)
	for _, s := range states {
		pids = append(pids, s.Pid)
	}
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, field := range f[11:15] { // utime, stime, cutime, cstime
			var ticks int
			fmt.Sscan(field, &ticks)
			total += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return total
}

// BenchmarkStart measures creating and starting containers; removing them is not measured.
func BenchmarkStart(b *testing.B) {
	for _, parallel := range []int{1, 10} {
		b.Run(fmt.Sprint(parallel), func(b *testing.B) {
			w := newWorld(b)
			w.run(w.container("first", "sleep", "1000"))
			for i := range b.N { // directories are not what is measured
				w.container(fmt.Sprint("c", i), "sleep", "1000")
			}
			before := w.cpu()
			b.ResetTimer()
			var all sync.WaitGroup
			slots := make(chan struct{}, parallel)
			for i := range b.N {
				slots <- struct{}{}
				all.Go(func() {
					w.run(w.container(fmt.Sprint("c", i), "sleep", "1000"))
					<-slots
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64((w.cpu()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			for _, pid := range w.shims() {
				b.ReportMetric(float64(pss(b, pid))/1024, "shim-PSS-MB")
				b.ReportMetric(float64(threads(pid)), "shim-threads")
			}
		})
	}
}

func pss(tb testing.TB, pid int) (kb int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	must(tb, err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			fmt.Sscan(rest, &kb)
		}
	}
	return kb
}

func threads(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return len(entries)
}

func BenchmarkExec(b *testing.B) {
	w := newWorld(b)
	w.run(w.container("host", "sleep", "1000"))
	b.ResetTimer()
	before := w.cpu()
	for i := range b.N {
		_, err := w.Exec(context.Background(), "host", ExecConfig{ExecID: fmt.Sprint(i), Args: []string{"true"}}, Streams{}, nil)
		must(b, err)
	}
	b.StopTimer()
	b.ReportMetric(float64((w.cpu()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkEnd measures killing and deleting.
func BenchmarkEnd(b *testing.B) {
	w := newWorld(b)
	for i := range b.N {
		w.run(w.container(fmt.Sprint("c", i), "sleep", "1000"))
	}
	b.ResetTimer()
	before := w.cpu()
	for i := range b.N {
		id := fmt.Sprint("c", i)
		must(b, w.Signal(context.Background(), id, 9, false))
		w.awaitStopped(id)
		must(b, w.Delete(context.Background(), id))
	}
	b.StopTimer()
	b.ReportMetric(float64((w.cpu()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkFirst measures a container that needs a shim of its own.
func BenchmarkFirst(b *testing.B) {
	w := newWorld(b)
	for i := range b.N {
		c := w.container(fmt.Sprint("c", i), "sleep", "1000")
		c.Group = c.ID
		w.run(c)
	}
	b.StopTimer()
}
