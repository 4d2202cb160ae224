package dockerapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/router"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/versions"

	"stackrun.dev/stack/engine"
)

// images serves /images.
type images struct{ engine engine.Engine }

func imageRoutes(e engine.Engine) []router.Route {
	i := images{e}
	return []router.Route{
		router.NewGetRoute("/images/json", i.list),
		router.NewGetRoute("/images/search", notSupported("search a registry")),
		router.NewGetRoute("/images/get", i.save),
		router.NewGetRoute("/images/{name:.*}/get", i.save),
		router.NewGetRoute("/images/{name:.*}/history", i.history),
		router.NewGetRoute("/images/{name:.*}/json", i.inspect),
		router.NewPostRoute("/images/load", i.load),
		router.NewPostRoute("/images/create", i.create),
		router.NewPostRoute("/images/prune", i.prune),
		router.NewPostRoute("/images/{name:.*}/push", i.push),
		router.NewPostRoute("/images/{name:.*}/tag", i.tag),
		router.NewDeleteRoute("/images/{name:.*}", i.remove),
		router.NewGetRoute("/distribution/{name:.*}/json", i.distribution),
	}
}

func notSupported(what string) httputils.APIFunc {
	return func(context.Context, http.ResponseWriter, *http.Request, map[string]string) error {
		return unsupported(what)
	}
}

func (i images) list(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	args, err := formFilters(r)
	if err != nil {
		return err
	}
	list, err := i.engine.ImageList(ctx, image.ListOptions{
		All: httputils.BoolValue(r, "all"), Filters: args,
		SharedSize: httputils.BoolValue(r, "shared-size"), Manifests: httputils.BoolValue(r, "manifests"),
	})
	if err != nil {
		return err
	}
	version := httputils.VersionFromContext(ctx)
	out := make([]image.Summary, 0, len(list))
	for _, img := range list {
		if versions.LessThan(version, "1.44") {
			img.VirtualSize = img.Size //nolint:staticcheck // old clients read it
		}
		if versions.LessThan(version, "1.43") && len(img.RepoTags) == 0 {
			img.RepoTags = []string{"<none>:<none>"}
		}
		out = append(out, img)
	}
	return httputils.WriteJSON(w, http.StatusOK, out)
}

func (i images) inspect(ctx context.Context, w http.ResponseWriter, _ *http.Request, vars map[string]string) error {
	img, err := i.engine.ImageInspect(ctx, vars["name"])
	if err != nil {
		return noImage(vars["name"], err)
	}
	if versions.LessThan(httputils.VersionFromContext(ctx), "1.44") {
		img.VirtualSize = img.Size //nolint:staticcheck // old clients read it
	}
	return httputils.WriteJSON(w, http.StatusOK, img)
}

func (i images) history(ctx context.Context, w http.ResponseWriter, _ *http.Request, vars map[string]string) error {
	list, err := i.engine.ImageHistory(ctx, vars["name"])
	if err != nil {
		return noImage(vars["name"], err)
	}
	return httputils.WriteJSON(w, http.StatusOK, list)
}

// create pulls, or imports the request's body.
func (i images) create(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	r.Form = r.URL.Query() // the body is no form
	out := &stream{w: w}
	if r.Form.Get("fromImage") == "" {
		return out.end(i.importFrom(ctx, r, out))
	}
	return out.end(i.engine.ImagePull(ctx, named(r.Form.Get("fromImage"), r.Form.Get("tag")), image.PullOptions{
		RegistryAuth: r.Header.Get(registry.AuthHeader), Platform: r.Form.Get("platform"),
	}, out.report))
}

func (i images) importFrom(ctx context.Context, r *http.Request, out *stream) error {
	switch source := r.Form.Get("fromSrc"); source {
	case "-":
	case "":
		return engine.Errorf(engine.ErrInvalid, "cannot create an image: neither fromImage nor fromSrc says from what")
	default:
		return unsupported("import an image from " + source)
	}
	id, err := i.engine.ImageImport(ctx, r.Body, named(r.Form.Get("repo"), r.Form.Get("tag")), image.ImportOptions{
		Message: r.Form.Get("message"), Changes: r.Form["changes"], Platform: r.Form.Get("platform"),
	})
	if err == nil {
		out.send(map[string]string{"status": id})
	}
	return err
}

// named joins a repository with a tag or a digest.
func named(repository, tag string) string {
	switch {
	case tag == "":
		return repository
	case strings.Contains(tag, ":"):
		return repository + "@" + tag
	}
	return repository + ":" + tag
}

func (i images) push(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	if err := httputils.ParseForm(r); err != nil {
		return err
	}
	out := &stream{w: w}
	return out.end(i.engine.ImagePush(ctx, named(vars["name"], r.Form.Get("tag")), image.PushOptions{
		RegistryAuth: r.Header.Get(registry.AuthHeader),
	}, out.report))
}

func (i images) distribution(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	d, err := i.engine.DistributionInspect(ctx, vars["name"], r.Header.Get(registry.AuthHeader))
	if err != nil {
		return err
	}
	return httputils.WriteJSON(w, http.StatusOK, d)
}

func (i images) load(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	r.Form = r.URL.Query() // the body is no form
	out := &stream{w: w}
	progress := engine.Progress(out.report)
	if httputils.BoolValueOrDefault(r, "quiet", true) {
		progress = nil
	}
	refs, err := i.engine.ImageLoad(ctx, r.Body, progress)
	for _, ref := range refs {
		if strings.HasPrefix(ref, "sha256:") {
			out.say("Loaded image ID: " + ref + "\n")
		} else {
			out.say("Loaded image: " + ref + "\n")
		}
	}
	return out.end(err)
}

func (i images) save(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	if err := httputils.ParseForm(r); err != nil {
		return err
	}
	refs := r.Form["names"]
	if name, ok := vars["name"]; ok {
		refs = []string{name}
	}
	archive, err := i.engine.ImageSave(ctx, refs)
	if err != nil {
		return err
	}
	defer archive.Close()
	w.Header().Set("Content-Type", "application/x-tar")
	if _, err := io.Copy(w, archive); err != nil {
		panic(http.ErrAbortHandler) // the answer has begun: only a broken connection tells that it is not whole
	}
	return nil
}

func (i images) tag(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	if err := httputils.ParseForm(r); err != nil {
		return err
	}
	if err := i.engine.ImageTag(ctx, vars["name"], named(r.Form.Get("repo"), r.Form.Get("tag"))); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (i images) remove(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	if err := httputils.ParseForm(r); err != nil {
		return err
	}
	list, err := i.engine.ImageRemove(ctx, vars["name"], image.RemoveOptions{
		Force: httputils.BoolValue(r, "force"), PruneChildren: !httputils.BoolValue(r, "noprune"),
	})
	if err != nil {
		return noImage(vars["name"], err)
	}
	return httputils.WriteJSON(w, http.StatusOK, list)
}

// noImage says that an image is not there in Docker's words: client libraries look for them.
func noImage(ref string, err error) error {
	if errors.Is(err, engine.ErrNotFound) {
		return engine.Errorf(engine.ErrNotFound, "No such image: %s", ref)
	}
	return err
}

// prune removes images that no container uses: those without a name or, with the filter dangling=false, all.
func (i images) prune(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	args, err := formFilters(r)
	if err != nil {
		return err
	}
	dangling, err := args.GetBoolOrDefault("dangling", true)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot read the filter dangling: %w", err)
	}
	chosen, err := pruneFilter(args)
	if err != nil {
		return err
	}
	unused, err := i.unused(ctx)
	if err != nil {
		return err
	}
	report := image.PruneReport{ImagesDeleted: []image.DeleteResponse{}}
	for _, img := range unused {
		if dangling && len(img.RepoTags) > 0 || !chosen(img.Labels, time.Unix(img.Created, 0)) {
			continue
		}
		removed, err := i.removeAll(ctx, img)
		if err := ignore(err, engine.ErrNotFound, engine.ErrConflict); err != nil {
			return err
		}
		if err == nil {
			report.SpaceReclaimed += uint64(img.Size)
		}
		report.ImagesDeleted = append(report.ImagesDeleted, removed...)
	}
	return httputils.WriteJSON(w, http.StatusOK, report)
}

// unused lists the images from which no container was made.
func (i images) unused(ctx context.Context) ([]image.Summary, error) {
	containers, err := i.engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, c := range containers {
		used[c.ImageID] = true
	}
	list, err := i.engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs()})
	if err != nil {
		return nil, err
	}
	var out []image.Summary
	for _, img := range list {
		if !used[img.ID] {
			out = append(out, img)
		}
	}
	return out, nil
}

// removeAll removes an image by all its names.
func (i images) removeAll(ctx context.Context, img image.Summary) ([]image.DeleteResponse, error) {
	names := img.RepoTags
	if len(names) == 0 {
		names = []string{img.ID}
	}
	var all []image.DeleteResponse
	for _, name := range names {
		removed, err := i.engine.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true})
		if err != nil {
			return all, err
		}
		all = append(all, removed...)
	}
	return all, nil
}
