package container

import (
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// ownLabels begin the labels by which tools find what they made. An image cannot give them to a container, or it could
// slip its containers into somebody's project.
var ownLabels = []string{"com.docker.compose.", "com.docker.stack.", "com.docker.swarm.", "dev.stackrun.", "stackrun.dev/"}

// Merge completes a request with what the image says, by Docker's rules. The request is left as it was. ErrInvalid: it
// names no command and the image does not either, or a field makes no sense.
func Merge(request *container.Config, img dockerspec.DockerOCIImageConfig) (*container.Config, error) {
	c := *request
	c.OnBuild = nil
	c.User = cmpOr(c.User, img.User)
	c.WorkingDir = cmpOr(c.WorkingDir, img.WorkingDir)
	c.StopSignal = cmpOr(c.StopSignal, img.StopSignal)
	c.Env = mergeEnv(c.Env, img.Env)
	c.Labels = mergeLabels(c.Labels, img.Labels)
	c.Healthcheck = mergeHealth(c.Healthcheck, img.Healthcheck)
	if len(c.Shell) == 0 {
		c.Shell = slices.Clone(img.Shell)
	}
	mergeCommand(&c, img)
	mergeSets(&c, img)
	return &c, validate(&c)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// mergeCommand: an entrypoint of one's own drops the image's command. A single empty word drops the image's entrypoint.
func mergeCommand(c *container.Config, img dockerspec.DockerOCIImageConfig) {
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = slices.Clone(img.Cmd)
		}
		if c.Entrypoint == nil {
			c.Entrypoint = slices.Clone(img.Entrypoint)
		}
	}
	if len(c.Entrypoint) == 1 && c.Entrypoint[0] == "" {
		c.Entrypoint = nil
	}
}

func mergeSets(c *container.Config, img dockerspec.DockerOCIImageConfig) {
	if len(img.ExposedPorts) > 0 {
		c.ExposedPorts = maps.Clone(c.ExposedPorts)
		if c.ExposedPorts == nil {
			c.ExposedPorts = nat.PortSet{}
		}
		for port := range img.ExposedPorts {
			c.ExposedPorts[withProto(port)] = struct{}{}
		}
	}
	if len(img.Volumes) > 0 {
		c.Volumes = maps.Clone(c.Volumes)
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		for path := range img.Volumes {
			c.Volumes[path] = struct{}{}
		}
	}
}

func withProto(port string) nat.Port {
	if !strings.Contains(port, "/") {
		port += "/tcp"
	}
	return nat.Port(port)
}

// mergeEnv keeps the request's variables and adds those of the image that it does not mention.
func mergeEnv(request, img []string) []string {
	merged := slices.Clone(request)
	mentioned := map[string]bool{}
	for _, variable := range request {
		name, _, _ := strings.Cut(variable, "=")
		mentioned[name] = true
	}
	for _, variable := range img {
		if name, _, _ := strings.Cut(variable, "="); !mentioned[name] {
			merged = append(merged, variable)
		}
	}
	return merged
}

func mergeLabels(request, img map[string]string) map[string]string {
	merged := map[string]string{}
	for name, value := range img {
		if !slices.ContainsFunc(ownLabels, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			merged[name] = value
		}
	}
	maps.Copy(merged, request)
	return merged
}

func mergeHealth(request *container.HealthConfig, img *dockerspec.HealthcheckConfig) *container.HealthConfig {
	if img == nil {
		return request
	}
	if request == nil {
		h := *img
		return &h
	}
	h := *request
	if len(h.Test) == 0 {
		h.Test = img.Test
	}
	if h.Interval == 0 {
		h.Interval = img.Interval
	}
	if h.Timeout == 0 {
		h.Timeout = img.Timeout
	}
	if h.StartPeriod == 0 {
		h.StartPeriod = img.StartPeriod
	}
	if h.StartInterval == 0 {
		h.StartInterval = img.StartInterval
	}
	if h.Retries == 0 {
		h.Retries = img.Retries
	}
	return &h
}

func validate(c *container.Config) error {
	if len(c.Entrypoint)+len(c.Cmd) == 0 {
		return engine.Errorf(engine.ErrInvalid, "no command specified, and image %s has none", c.Image)
	}
	for _, variable := range c.Env {
		if variable == "" || variable[0] == '=' {
			return engine.Errorf(engine.ErrInvalid, "invalid environment variable: %q", variable)
		}
	}
	if c.WorkingDir != "" && !strings.HasPrefix(c.WorkingDir, "/") {
		return engine.Errorf(engine.ErrInvalid, "invalid working directory %q: it must be an absolute path", c.WorkingDir)
	}
	if c.StopSignal != "" {
		if _, err := ParseSignal(c.StopSignal); err != nil {
			return err
		}
	}
	if c.StopTimeout != nil && *c.StopTimeout < -1 {
		return engine.Errorf(engine.ErrInvalid, "invalid stop timeout %d", *c.StopTimeout)
	}
	return validateHealth(c.Healthcheck)
}

func validateHealth(h *container.HealthConfig) error {
	if h == nil {
		return nil
	}
	for name, d := range map[string]int64{"interval": int64(h.Interval), "timeout": int64(h.Timeout),
		"start period": int64(h.StartPeriod), "start interval": int64(h.StartInterval)} {
		if d != 0 && d < int64(container.MinimumDuration) {
			return engine.Errorf(engine.ErrInvalid, "invalid health check: the %s cannot be less than %v", name, container.MinimumDuration)
		}
	}
	if h.Retries < 0 {
		return engine.Errorf(engine.ErrInvalid, "invalid health check: the number of retries cannot be negative")
	}
	if len(h.Test) > 0 {
		switch h.Test[0] {
		case "", "NONE", "CMD", "CMD-SHELL":
		default:
			return engine.Errorf(engine.ErrInvalid, "invalid health check: unknown type %q, use one of NONE, CMD, CMD-SHELL", h.Test[0])
		}
	}
	return nil
}

// Command is the program that the container executes and its arguments.
func Command(c *container.Config) (path string, args []string) {
	all := append(slices.Clone([]string(c.Entrypoint)), c.Cmd...)
	if len(all) == 0 {
		return "", nil
	}
	return all[0], all[1:]
}
