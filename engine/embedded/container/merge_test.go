package container

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

func imageConfig() dockerspec.DockerOCIImageConfig {
	return dockerspec.DockerOCIImageConfig{
		ImageConfig: ocispec.ImageConfig{
			User: "web", Env: []string{"PATH=/bin", "A=image"}, Entrypoint: []string{"/entry"}, Cmd: []string{"serve"},
			WorkingDir: "/srv", StopSignal: "SIGINT", ExposedPorts: map[string]struct{}{"80": {}, "53/udp": {}},
			Volumes: map[string]struct{}{"/data": {}}, Labels: map[string]string{"a": "image", "com.docker.compose.project": "victim"},
		},
		DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{
			Healthcheck: &dockerspec.HealthcheckConfig{Test: []string{"CMD", "check"}, Interval: time.Second, Retries: 7},
		},
	}
}

func TestMergeTakesFromTheImageWhatTheRequestLeavesOpen(t *testing.T) {
	got, err := Merge(&container.Config{Image: "i"}, imageConfig())
	if err != nil {
		t.Fatal(err)
	}
	want := &container.Config{
		Image: "i", User: "web", Env: []string{"PATH=/bin", "A=image"}, Entrypoint: []string{"/entry"}, Cmd: []string{"serve"},
		WorkingDir: "/srv", StopSignal: "SIGINT", ExposedPorts: nat.PortSet{"80/tcp": {}, "53/udp": {}}, Volumes: map[string]struct{}{"/data": {}},
		Labels: map[string]string{"a": "image"}, Healthcheck: &container.HealthConfig{Test: []string{"CMD", "check"}, Interval: time.Second, Retries: 7},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestMergeCommand(t *testing.T) {
	for _, test := range []struct {
		name            string
		entrypoint, cmd []string
		path            string
		args            []string
	}{
		{"all from the image", nil, nil, "/entry", []string{"serve"}},
		{"a command goes to the image's entrypoint", nil, []string{"x"}, "/entry", []string{"x"}},
		{"an entrypoint drops the image's command", []string{"/mine"}, nil, "/mine", []string{}},
		{"both given", []string{"/mine"}, []string{"x"}, "/mine", []string{"x"}},
		{"an empty word drops the image's entrypoint", []string{""}, []string{"x", "y"}, "x", []string{"y"}},
		{"an empty entrypoint keeps the image's command", []string{}, nil, "serve", []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Merge(&container.Config{Entrypoint: test.entrypoint, Cmd: test.cmd}, imageConfig())
			if err != nil {
				t.Fatal(err)
			}
			if path, args := Command(c); path != test.path || !reflect.DeepEqual(args, test.args) {
				t.Errorf("runs %q %q, want %q %q", path, args, test.path, test.args)
			}
		})
	}
}

func TestMergeKeepsTheRequest(t *testing.T) {
	request := &container.Config{
		User: "me", Env: []string{"A=mine", "B"}, Labels: map[string]string{"a": "mine"}, Cmd: []string{"x"},
		ExposedPorts: nat.PortSet{"90/tcp": {}}, Volumes: map[string]struct{}{"/other": {}},
		Healthcheck: &container.HealthConfig{Interval: time.Minute},
	}
	got, err := Merge(request, imageConfig())
	if err != nil {
		t.Fatal(err)
	}
	if got.User != "me" || got.Labels["a"] != "mine" || !reflect.DeepEqual(got.Env, []string{"A=mine", "B", "PATH=/bin"}) {
		t.Errorf("got %+v", got)
	}
	if h := got.Healthcheck; h.Interval != time.Minute || h.Retries != 7 || h.Test[1] != "check" {
		t.Errorf("health check %+v", h)
	}
	if len(got.ExposedPorts) != 3 || len(got.Volumes) != 2 {
		t.Errorf("ports %v, volumes %v", got.ExposedPorts, got.Volumes)
	}
	if len(request.ExposedPorts) != 1 || len(request.Volumes) != 1 || len(request.Env) != 2 || request.Healthcheck.Retries != 0 {
		t.Errorf("the request was changed: %+v", request)
	}
}

func TestMergeRefuses(t *testing.T) {
	minute := -5
	for _, test := range []struct {
		request container.Config
		want    string
	}{
		{container.Config{}, "no command specified"},
		{container.Config{Cmd: []string{"x"}, Env: []string{"=1"}}, "environment variable"},
		{container.Config{Cmd: []string{"x"}, WorkingDir: "srv"}, "working directory"},
		{container.Config{Cmd: []string{"x"}, StopSignal: "SIGNOTHING"}, "invalid signal"},
		{container.Config{Cmd: []string{"x"}, StopTimeout: &minute}, "stop timeout"},
		{container.Config{Cmd: []string{"x"}, Healthcheck: &container.HealthConfig{Test: []string{"SOMETIMES"}}}, "unknown type"},
		{container.Config{Cmd: []string{"x"}, Healthcheck: &container.HealthConfig{Interval: 5}}, "interval"},
		{container.Config{Cmd: []string{"x"}, Healthcheck: &container.HealthConfig{Retries: -1}}, "retries"},
	} {
		_, err := Merge(&test.request, dockerspec.DockerOCIImageConfig{})
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("got %v, want something about %q", err, test.want)
		}
	}
}

func TestNormalise(t *testing.T) {
	h, err := Normalise(nil)
	if err != nil || h.NetworkMode != "bridge" || h.RestartPolicy.Name != "no" || h.LogConfig.Type != "json-file" || h.ShmSize != 64<<20 {
		t.Errorf("defaults %+v, %v", h, err)
	}
	for _, test := range []struct {
		host container.HostConfig
		kind error
	}{
		{container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "sometimes"}}, engine.ErrInvalid},
		{container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always", MaximumRetryCount: 2}}, engine.ErrInvalid},
		{container.HostConfig{AutoRemove: true, RestartPolicy: container.RestartPolicy{Name: "always"}}, engine.ErrInvalid},
		{container.HostConfig{LogConfig: container.LogConfig{Type: "syslog"}}, engine.ErrUnsupported},
		{container.HostConfig{LogConfig: container.LogConfig{Config: map[string]string{"max-size": "big"}}}, engine.ErrInvalid},
		{container.HostConfig{LogConfig: container.LogConfig{Config: map[string]string{"max-file": "0"}}}, engine.ErrInvalid},
		{container.HostConfig{LogConfig: container.LogConfig{Config: map[string]string{"nonsense": "1"}}}, engine.ErrInvalid},
	} {
		if _, err := Normalise(&test.host); !errors.Is(err, test.kind) {
			t.Errorf("%+v gave %v", test.host, err)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for name, want := range map[string]int{"SIGTERM": 15, "term": 15, "9": 9, "HUP": 1, "RTMIN": 34, "SIGRTMIN+3": 37, "RTMAX": 64, "RTMAX-1": 63} {
		if got, err := ParseSignal(name); err != nil || int(got) != want {
			t.Errorf("%s is %d, %v, want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"", "0", "65", "-1", "SIGNOTHING", "RTMIN-1", "RTMAX+1", "RTMINx"} {
		if got, err := ParseSignal(name); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%q is %d, %v", name, got, err)
		}
	}
}
