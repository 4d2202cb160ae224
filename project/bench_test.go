package project

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manyServices writes a project of n services of a usual size and returns its directory.
func manyServices(tb testing.TB, n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    image: busybox:${TAG:-latest}\n    command: [sleep, inf]\n    environment:\n      A: ${A:-1}\n      B: two\n", i)
		b.WriteString("    ports:\n      - target: 80\n    networks: [front]\n    volumes:\n      - data:/data\n    healthcheck:\n      test: exit 0\n      interval: 1s\n")
		if i > 0 {
			fmt.Fprintf(&b, "    depends_on:\n      s%d:\n        condition: service_started\n", i-1)
		}
	}
	b.WriteString("networks:\n  front: {}\nvolumes:\n  data: {}\n")
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(b.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// BenchmarkLoad shows that time and memory grow no faster than the project.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := manyServices(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Load(context.Background(), Options{WorkDir: dir}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/service")
		})
	}
}
