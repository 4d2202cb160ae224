package sim

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine/memory"
)

const full = `
services:
  db:
    image: db
    command: [sleep, "100000"]
    init: true
    healthcheck: {test: [CMD, "true"], interval: 30s, start_interval: 100ms, start_period: 60s}
    volumes: ["data:/data", /scratch]
    networks: {back: {ipv4_address: 10.0.2.5, aliases: [database]}}
  migrate:
    image: web
    command: ["true"]
    networks: [back]
    depends_on: {db: {condition: service_healthy}}
  web:
    image: web
    command: [sleep, "100000"]
    scale: 3
    networks: [front, back]
    environment: {A: "1"}
    depends_on:
      migrate: {condition: service_completed_successfully}
    configs: [{source: c, target: /etc/c, mode: 0400}]
  logger:
    image: web
    command: [sleep, "100000"]
    volumes_from: [db]
    network_mode: "service:db"
networks:
  front: {}
  back: {ipam: {config: [{subnet: 10.0.2.0/24}]}}
volumes:
  data: {}
configs:
  c: {content: hello}
`

// The engine in memory keeps the whole contract: what it refuses, a real engine refuses.
func TestOnTheEngineInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("web", container.Config{})
		e.AddRemoteImage("db", container.Config{Volumes: map[string]struct{}{"/image": {}}})
		d := want(t, full)
		run := func(o plan.UpOptions) *convergence.Result {
			t.Helper()
			result, err := convergence.Run(t.Context(), e, d, convergence.Options{Up: o}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return result
		}
		run(plan.UpOptions{Wait: true})
		if again := run(plan.UpOptions{}); again.Changed {
			t.Error("the second run changed something")
		}
		scratch := anonymousOf(t, e, "x-db-1")
		d = want(t, strings.Replace(full, `"100000"]`, `"200000"]`, 1))
		run(plan.UpOptions{})
		if got := anonymousOf(t, e, "x-db-1"); got != scratch {
			t.Errorf("anonymous volumes: %s, before %s", got, scratch)
		}
		d = want(t, strings.Replace(full, "front: {}", "front: {internal: true}", 1))
		run(plan.UpOptions{})
		run(plan.UpOptions{Recreate: plan.RecreateForce})
		if _, err := convergence.Down(t.Context(), e, "x", d, plan.DownOptions{Volumes: true}, convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		if list, err := e.ContainerList(t.Context(), container.ListOptions{All: true}); err != nil || len(list) != 0 {
			t.Errorf("left: %v, %v", list, err)
		}
	})
}

// anonymousOf names the container's volumes that have no name of their own.
func anonymousOf(t *testing.T, e *memory.Engine, name string) string {
	t.Helper()
	c, err := e.ContainerInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range c.Mounts {
		if len(m.Name) == 64 {
			names = append(names, m.Destination+"="+m.Name)
		}
	}
	if len(names) != 2 {
		t.Errorf("anonymous volumes %v", names)
	}
	return strings.Join(names, " ")
}
