package docker

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
)

func onThree(first string) engine.CreateConfig {
	return engine.CreateConfig{
		Config: &container.Config{Image: "i", Healthcheck: &container.HealthConfig{Retries: 3, StartInterval: time.Second}},
		Host:   &container.HostConfig{NetworkMode: container.NetworkMode(first), Annotations: map[string]string{"a": "b"}},
		Networking: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			"a": {GwPriority: 1}, "b": {Aliases: []string{"x"}, MacAddress: "02:00:00:00:00:01"}, "c": nil,
		}},
	}
}

func TestFitToAnOldEngine(t *testing.T) {
	cfg, untouched := onThree("b"), onThree("b")
	f, err := fit(cfg, "1.41")
	if err != nil {
		t.Fatal(err)
	}
	if f.Config.Healthcheck.StartInterval != 0 || f.Config.Healthcheck.Retries != 3 {
		t.Errorf("the health check is %+v", f.Config.Healthcheck)
	}
	if mac := f.Config.MacAddress; mac != "02:00:00:00:00:01" { //nolint:staticcheck // that is where old engines read it
		t.Errorf("the MAC address is %q", mac)
	}
	first := f.Networking.EndpointsConfig
	if e := first["b"]; len(first) != 1 || e == nil || e.MacAddress != "" || !slices.Equal(e.Aliases, []string{"x"}) {
		t.Errorf("it is created on %+v", first)
	}
	if len(f.connect) != 2 || f.connect[0].network != "a" || f.connect[1].network != "c" || f.connect[1].settings == nil {
		t.Errorf("it is connected to %+v", f.connect)
	}
	for _, about := range []string{"annotations", "start_interval", "gw_priority on network a"} {
		if !slices.ContainsFunc(f.notes, func(note string) bool {
			return strings.Contains(note, about) && strings.Contains(note, "speaks version 1.41")
		}) {
			t.Errorf("no note about %s in %q", about, f.notes)
		}
	}
	if !reflect.DeepEqual(cfg, untouched) {
		t.Error("the caller's configuration was changed")
	}
}

func TestFitToANewEngine(t *testing.T) {
	f, err := fit(onThree("b"), "1.51")
	if err != nil || len(f.Networking.EndpointsConfig) != 3 || len(f.connect) != 0 || len(f.notes) != 0 {
		t.Errorf("got %+v, %v", f, err)
	}
	if f, err = fit(engine.CreateConfig{}, "1.41"); err != nil || f.Networking != nil || len(f.notes) != 0 {
		t.Errorf("nothing became %+v, %v", f, err)
	}
}

func TestFitRefusesWhatWouldBeIgnored(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*engine.CreateConfig)
		since  string
	}{
		"mac_address": {func(c *engine.CreateConfig) { c.Networking.EndpointsConfig["a"].MacAddress = "02:00:00:00:00:02" }, "1.44"},
		"subpath": {func(c *engine.CreateConfig) {
			c.Host.Mounts = []mount.Mount{{Type: mount.TypeVolume, Target: "/t", VolumeOptions: &mount.VolumeOptions{Subpath: "s"}}}
		}, "1.45"},
		"readonly": {func(c *engine.CreateConfig) {
			c.Host.Mounts = []mount.Mount{{Type: mount.TypeBind, Target: "/t", BindOptions: &mount.BindOptions{ReadOnlyForceRecursive: true}}}
		}, "1.44"},
		"options": {func(c *engine.CreateConfig) {
			c.Host.Mounts = []mount.Mount{{Type: mount.TypeTmpfs, Target: "/t", TmpfsOptions: &mount.TmpfsOptions{Options: [][]string{{"noexec"}}}}}
		}, "1.46"},
	} {
		cfg := onThree("b")
		c.change(&cfg)
		_, err := fit(cfg, "1.41")
		if !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "came with "+c.since) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := fit(cfg, c.since); err != nil {
			t.Errorf("%s: version %s knows it, and got %v", name, c.since, err)
		}
	}
}
