package model_test

import (
	"fmt"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/model"
)

// ordinary is a file of n services as people write them.
func ordinary(n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, `  s%d:
    image: registry.example.com/team/s%d:1.2
    command: ["serve", "--port", "80"]
    environment: {A: a, B: "2", C: 3, DATABASE_URL: "postgres://db/x"}
    ports: ["%d:80"]
    volumes: ["data:/data", "./src:/src:ro"]
    networks: [front, back]
    depends_on: {s0: {condition: service_started}}
    labels: [a=b, "traefik.enable=true"]
    healthcheck: {test: [CMD, "true"], interval: 10s, timeout: 1s, retries: 3}
    restart: unless-stopped
    deploy: {resources: {limits: {cpus: "0.5", memory: 64m}}}
`, i, i, 10000+i)
	}
	b.WriteString("networks: {front: , back: }\nvolumes: {data: }\n")
	return b.String()
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmark(b, n) })
	}
}

// benchmark reports also what one service takes, which is the same however many there are.
func benchmark(b *testing.B, n int) {
	fresh := parse(b, ordinary(n), "/dir", nil)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		root := fresh.Clone()
		b.StartTimer()
		model.Canonical(root)
		if p, errs := model.Build(root, model.Options{Name: "x", Dir: "/dir"}); len(errs) > 0 || len(p.Services) != n {
			b.Fatal(errs)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/service")
}
