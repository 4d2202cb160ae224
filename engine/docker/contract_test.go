package docker_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/docker"
	"stackrun.dev/stack/engine/enginetest"
	"stackrun.dev/stack/engine/enginetest/dockerd"
	"stackrun.dev/stack/engine/enginetest/registry"
)

func TestContractOnDockerd(t *testing.T) {
	enginetest.Run(t, onDockerd)
}

func onDockerd(t testing.TB) enginetest.Subject {
	daemon := dockerd.Start(t)
	e, err := docker.New(daemon.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return enginetest.Subject{
		Engine:   e,
		Image:    enginetest.ImportImage(t, e),
		Dial:     daemon.Dial,
		Registry: registry.Start(t, daemon.Run),
		Lacks:    enginetest.Lacks{UnendedLines: true, ExitCodesOfRestarted: true},
	}
}

func BenchmarkDockerd(b *testing.B) { enginetest.Benchmark(b, onDockerd) }

// TestSeveralNetworksOnDockerd: dockerd before API 1.44 takes one network only when a container is created.
func TestSeveralNetworksOnDockerd(t *testing.T) {
	s := onDockerd(t)
	ctx := t.Context()
	for _, name := range []string{"front", "back"} {
		if _, err := s.Engine.NetworkCreate(ctx, name, network.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create := func(name, address string) (string, error) {
		endpoints := map[string]*network.EndpointSettings{
			"front": {Aliases: []string{"alias"}},
			"back":  {Aliases: []string{"alias"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}},
		}
		made, err := s.Engine.ContainerCreate(ctx, name, engine.CreateConfig{
			Config:     &container.Config{Image: s.Image, Cmd: []string{"sleep", "1000"}},
			Host:       &container.HostConfig{NetworkMode: container.NetworkMode("front")},
			Networking: &network.NetworkingConfig{EndpointsConfig: endpoints},
		})
		return made.ID, err
	}

	id, err := create("both", "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Engine.ContainerInspect(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"front", "back"} {
		if e := got.NetworkSettings.Networks[n]; e == nil || !slices.Contains(e.Aliases, "alias") {
			t.Errorf("on %s it is %+v", n, e)
		}
	}

	if _, err := create("broken", "10.9.8.7"); err == nil {
		t.Error("an address was taken on a network without a subnet of its own")
	}
	if _, err := s.Engine.ContainerInspect(ctx, "broken"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a container that could not be connected is left: %v", err)
	}
}
