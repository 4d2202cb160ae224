package dockerapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/router"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/engine"
)

// builds serves /build.
type builds struct{ engine engine.Engine }

func buildRoutes(e engine.Engine) []router.Route {
	return []router.Route{
		router.NewPostRoute("/build", builds{e}.build),
		router.NewPostRoute("/grpc", builds{e}.grpc),
		router.NewPostRoute("/session", builds{e}.session),
		router.NewPostRoute("/build/prune", buildCache{builds{e}}.prune),
		router.NewPostRoute("/build/cancel", notSupported("cancel a build by its ID; close its connection instead")),
	}
}

func (b builds) build(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	opts, err := buildOptions(r)
	if err != nil {
		return err
	}
	out := &stream{w: w}
	progress := engine.Progress(out.report)
	if opts.SuppressOutput {
		progress = nil
	}
	id, err := b.engine.ImageBuild(ctx, r.Body, opts, progress)
	if err != nil {
		return out.end(err)
	}
	if opts.SuppressOutput {
		out.say(id + "\n")
	}
	return out.end(finished(out, id, opts))
}

// finished ends the output in the words that clients look for.
func finished(out *stream, id string, opts build.ImageBuildOptions) error {
	aux, err := json.Marshal(build.Result{ID: id})
	if err != nil {
		return err
	}
	raw := json.RawMessage(aux)
	out.report(jsonmessage.JSONMessage{Aux: &raw})
	if opts.SuppressOutput {
		return nil
	}
	short := strings.TrimPrefix(id, "sha256:")
	out.say("Successfully built " + short[:min(12, len(short))] + "\n")
	for _, tag := range opts.Tags {
		out.say("Successfully tagged " + tag + "\n")
	}
	return nil
}

func buildOptions(r *http.Request) (build.ImageBuildOptions, error) {
	// The body is the context: only the query has options.
	r.Form = r.URL.Query()
	f := r.Form
	opts := build.ImageBuildOptions{
		Tags: f["t"], Dockerfile: f.Get("dockerfile"), RemoteContext: f.Get("remote"), Target: f.Get("target"),
		NetworkMode: f.Get("networkmode"), Platform: f.Get("platform"), CgroupParent: f.Get("cgroupparent"),
		SuppressOutput: httputils.BoolValue(r, "q"), NoCache: httputils.BoolValue(r, "nocache"),
		Remove: httputils.BoolValueOrDefault(r, "rm", true), ForceRemove: httputils.BoolValue(r, "forcerm"),
		PullParent: httputils.BoolValue(r, "pull"), Squash: httputils.BoolValue(r, "squash"),
		Isolation: container.Isolation(f.Get("isolation")), ExtraHosts: f["extrahosts"], SecurityOpt: f["securityopt"],
		CPUSetCPUs: f.Get("cpusetcpus"), CPUSetMems: f.Get("cpusetmems"),
	}
	if opts.Dockerfile == "" {
		opts.Dockerfile = "Dockerfile"
	}
	if f.Get("session") != "" || f.Get("version") == string(build.BuilderBuildKit) {
		return opts, unsupported("build in a BuildKit session; set DOCKER_BUILDKIT=0")
	}
	if opts.RemoteContext != "" {
		return opts, unsupported("build from the remote context " + opts.RemoteContext)
	}
	for name, to := range map[string]*int64{
		"cpushares": &opts.CPUShares, "cpuperiod": &opts.CPUPeriod, "cpuquota": &opts.CPUQuota,
		"memory": &opts.Memory, "memswap": &opts.MemorySwap, "shmsize": &opts.ShmSize,
	} {
		if f.Get(name) == "" {
			continue
		}
		n, err := httputils.Int64ValueOrDefault(r, name, 0)
		if err != nil {
			return opts, engine.Errorf(engine.ErrInvalid, "cannot read the option %s: %w", name, err)
		}
		*to = n
	}
	for name, to := range map[string]any{
		"buildargs": &opts.BuildArgs, "labels": &opts.Labels, "cachefrom": &opts.CacheFrom, "ulimits": &opts.Ulimits,
	} {
		if err := fromJSON(name, f.Get(name), to); err != nil {
			return opts, err
		}
	}
	return opts, registryConfig(r, &opts)
}

func fromJSON(name, value string, to any) error {
	if value == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(value), to); err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot read the option %s: %w", name, err)
	}
	return nil
}

// registryConfig reads the names and passwords for the registries of base images.
func registryConfig(r *http.Request, opts *build.ImageBuildOptions) error {
	header := r.Header.Get("X-Registry-Config")
	if header == "" {
		return nil
	}
	text, err := base64.URLEncoding.DecodeString(header)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot read the header X-Registry-Config: %w", err)
	}
	return fromJSON("X-Registry-Config", string(text), &opts.AuthConfigs)
}
