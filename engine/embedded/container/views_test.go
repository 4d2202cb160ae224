package container

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container/health"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

var epoch = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func sample(name string, age time.Duration, s lifecycle.State) Record {
	return Record{
		ID: strings.Repeat(name[:1], 64), Name: name, Created: epoch.Add(-age), Image: "sha256:" + name,
		Config: &container.Config{Image: "img:" + name, Labels: map[string]string{"service": name}, ExposedPorts: nat.PortSet{"80/tcp": {}, "81/tcp": {}}},
		Host:   &container.HostConfig{NetworkMode: "front"}, State: s,
		Endpoints: map[string]*network.EndpointSettings{"front": {NetworkID: "f123"}},
	}
}

func TestStatusText(t *testing.T) {
	started := epoch.Add(-3 * time.Second)
	for _, test := range []struct {
		state  lifecycle.State
		health *health.State
		want   string
	}{
		{lifecycle.State{Phase: lifecycle.Created}, nil, "Created"},
		{lifecycle.State{Phase: lifecycle.Running, StartedAt: started}, nil, "Up 3 seconds"},
		{lifecycle.State{Phase: lifecycle.Running, StartedAt: started}, &health.State{Status: "healthy"}, "Up 3 seconds (healthy)"},
		{lifecycle.State{Phase: lifecycle.Running, StartedAt: started}, &health.State{Status: "starting"}, "Up 3 seconds (health: starting)"},
		{lifecycle.State{Phase: lifecycle.Paused, StartedAt: started}, nil, "Up 3 seconds (Paused)"},
		{lifecycle.State{Phase: lifecycle.Restarting, ExitCode: 1, FinishedAt: started}, nil, "Restarting (1) 3 seconds ago"},
		{lifecycle.State{Phase: lifecycle.Exited, ExitCode: 137, FinishedAt: epoch.Add(-2 * time.Hour)}, nil, "Exited (137) 2 hours ago"},
		{lifecycle.State{Phase: lifecycle.Removing}, nil, "Removal In Progress"},
		{lifecycle.State{Phase: lifecycle.Dead}, nil, "Dead"},
	} {
		if got := StatusText(&Record{State: test.state, Health: test.health}, epoch); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestViewsShowAddressesWhileActive(t *testing.T) {
	r := sample("web", 0, lifecycle.State{Phase: lifecycle.Running, Pid: 42})
	r.Live = map[string]*network.EndpointSettings{"front": {NetworkID: "f123", IPAddress: "10.0.0.2"}}
	r.Ports = nat.PortMap{"80/tcp": {{HostIP: "0.0.0.0", HostPort: "8080"}}}
	in := Inspect(&r, Surroundings{Dir: "/d"})
	if in.NetworkSettings.Networks["front"].IPAddress != "10.0.0.2" || in.NetworkSettings.SandboxKey != "/proc/42/ns/net" || !in.State.Running {
		t.Errorf("inspect shows %+v", in.NetworkSettings)
	}
	if bindings, exposed := in.NetworkSettings.Ports["81/tcp"]; bindings != nil || !exposed {
		t.Errorf("ports %v", in.NetworkSettings.Ports)
	}
	want := []container.Port{{IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp"}, {PrivatePort: 81, Type: "tcp"}}
	if got := Summary(&r, epoch, nil).Ports; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	r.State, r.Live, r.Ports = lifecycle.State{Phase: lifecycle.Exited}, nil, nil
	in = Inspect(&r, Surroundings{})
	if e := in.NetworkSettings.Networks["front"]; e.IPAddress != "" || e.NetworkID != "f123" || len(in.NetworkSettings.Ports) != 0 {
		t.Errorf("a stopped one shows %+v", in.NetworkSettings)
	}
}

func TestCommandText(t *testing.T) {
	got := commandText(&container.Config{Entrypoint: []string{"sh", "-c"}, Cmd: []string{"sleep 1"}})
	if want := "sh -c 'sleep 1'"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSelect(t *testing.T) {
	running := sample("web", 3*time.Hour, lifecycle.State{Phase: lifecycle.Running, StartedAt: epoch})
	running.Health = &health.State{Status: "healthy"}
	running.Mounts = []Mount{{Type: "volume", Name: "data", Destination: "/data"}}
	running.Ports = nat.PortMap{"80/tcp": {{HostPort: "8080"}}}
	exited := sample("db", 2*time.Hour, lifecycle.State{Phase: lifecycle.Exited, ExitCode: 3, StartedAt: epoch})
	restarting := sample("api", time.Hour, lifecycle.State{Phase: lifecycle.Restarting, StartedAt: epoch})
	created := sample("cron", 0, lifecycle.State{Phase: lifecycle.Created})
	created.Endpoints = map[string]*network.EndpointSettings{"back": {NetworkID: "b456"}}
	all := []Record{running, exited, restarting, created}
	look := Lookups{
		Container: func(ref string) (Record, error) {
			for _, r := range all {
				if r.Name == ref {
					return r, nil
				}
			}
			return Record{}, engine.Errorf(engine.ErrNotFound, "no such container: %s", ref)
		},
		ImageID: func(ref string) string { return "sha256:" + ref },
	}
	f := func(kv ...string) container.ListOptions {
		o := container.ListOptions{All: true, Filters: filters.NewArgs()}
		for i := 0; i < len(kv); i += 2 {
			o.Filters.Add(kv[i], kv[i+1])
		}
		return o
	}
	for _, test := range []struct {
		name string
		opts container.ListOptions
		want string
	}{
		{"what runs", container.ListOptions{}, "api web"},
		{"all", f(), "api cron db web"},
		{"latest", container.ListOptions{Latest: true}, "cron"},
		{"limit", container.ListOptions{Limit: 2}, "api cron"},
		{"label", f("label", "service=db"), "db"},
		{"labels add up", f("label", "service=db", "label", "service=web"), ""},
		{"name", f("name", "w"), "web"},
		{"exact name", f("name", "^/web$"), "web"},
		{"id", f("id", "dddd"), "db"},
		{"status without all", container.ListOptions{Filters: filters.NewArgs(filters.Arg("status", "exited"))}, "db"},
		{"health", f("health", "healthy"), "web"},
		{"no health check", f("health", "none"), "api cron db"},
		{"exit code", f("exited", "3"), "db"},
		{"network by name", f("network", "back"), "cron"},
		{"network by id", f("network", "f12"), "api db web"},
		{"volume by name", f("volume", "data"), "web"},
		{"volume by destination", f("volume", "/data/"), "web"},
		{"ancestor", f("ancestor", "db"), "db"},
		{"before", f("before", "api"), "db web"},
		{"since", f("since", "db"), "api cron"},
		{"expose", f("expose", "80"), "api cron db web"},
		{"publish", f("publish", "8080/tcp"), "web"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Select(all, test.opts, look)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, r := range got {
				names = append(names, r.Name)
			}
			if strings.Join(names, " ") != test.want {
				t.Errorf("got %v, want %s", names, test.want)
			}
		})
	}
	for _, bad := range []container.ListOptions{f("colour", "red"), f("status", "asleep"), f("health", "fine"), f("exited", "x")} {
		if _, err := Select(all, bad, look); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%v gave %v", bad.Filters, err)
		}
	}
	if _, err := Select(all, f("before", "gone"), look); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
