package dockerapi

import (
	"context"
	"net/http"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/router"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"

	"stackrun.dev/stack/engine"
)

// networks serves /networks.
type networks struct{ engine engine.Engine }

func networkRoutes(e engine.Engine) []router.Route {
	n := networks{e}
	return []router.Route{
		router.NewGetRoute("/networks", n.list),
		router.NewGetRoute("/networks/", n.list),
		router.NewGetRoute("/networks/{id:.+}", n.inspect),
		router.NewPostRoute("/networks/create", n.create),
		router.NewPostRoute("/networks/prune", n.prune),
		router.NewPostRoute("/networks/{id:.*}/connect", n.connect),
		router.NewPostRoute("/networks/{id:.*}/disconnect", n.disconnect),
		router.NewDeleteRoute("/networks/{id:.*}", n.remove),
	}
}

func (n networks) list(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	args, err := formFilters(r)
	if err != nil {
		return err
	}
	if err := network.ValidateFilters(args); err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot list networks: %w", err)
	}
	list, err := n.engine.NetworkList(ctx, network.ListOptions{Filters: args})
	if err != nil {
		return err
	}
	if list == nil {
		list = []network.Summary{}
	}
	return httputils.WriteJSON(w, http.StatusOK, list)
}

func (n networks) inspect(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	if err := httputils.ParseForm(r); err != nil {
		return err
	}
	got, err := n.engine.NetworkInspect(ctx, vars["id"], network.InspectOptions{
		Scope: r.Form.Get("scope"), Verbose: httputils.BoolValue(r, "verbose"),
	})
	if err != nil {
		return err
	}
	return httputils.WriteJSON(w, http.StatusOK, got)
}

func (n networks) create(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	var req network.CreateRequest
	if err := httputils.ReadJSON(r, &req); err != nil {
		return err
	}
	if versions.LessThan(httputils.VersionFromContext(ctx), "1.48") {
		req.EnableIPv4 = nil // not known to these clients
	}
	id, err := n.engine.NetworkCreate(ctx, req.Name, req.CreateOptions)
	if err != nil {
		return err
	}
	return httputils.WriteJSON(w, http.StatusCreated, network.CreateResponse{ID: id})
}

func (n networks) connect(ctx context.Context, _ http.ResponseWriter, r *http.Request, vars map[string]string) error {
	var req network.ConnectOptions
	if err := httputils.ReadJSON(r, &req); err != nil {
		return err
	}
	return n.engine.NetworkConnect(ctx, vars["id"], req.Container, req.EndpointConfig)
}

func (n networks) disconnect(ctx context.Context, _ http.ResponseWriter, r *http.Request, vars map[string]string) error {
	var req network.DisconnectOptions
	if err := httputils.ReadJSON(r, &req); err != nil {
		return err
	}
	return n.engine.NetworkDisconnect(ctx, vars["id"], req.Container, req.Force)
}

func (n networks) remove(ctx context.Context, w http.ResponseWriter, _ *http.Request, vars map[string]string) error {
	if err := n.engine.NetworkRemove(ctx, vars["id"]); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// prune removes the networks of users on which no container is.
func (n networks) prune(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	args, err := formFilters(r)
	if err != nil {
		return err
	}
	chosen, err := pruneFilter(args)
	if err != nil {
		return err
	}
	list, err := n.engine.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("type", "custom"))})
	if err != nil {
		return err
	}
	report := network.PruneReport{NetworksDeleted: []string{}}
	for _, net := range list {
		if !chosen(net.Labels, net.Created) {
			continue
		}
		err := n.engine.NetworkRemove(ctx, net.ID)
		if err := ignore(err, engine.ErrNotFound, engine.ErrConflict); err != nil {
			return err
		}
		if err == nil {
			report.NetworksDeleted = append(report.NetworksDeleted, net.Name)
		}
	}
	return httputils.WriteJSON(w, http.StatusOK, report)
}

// formFilters reads the query's filters.
func formFilters(r *http.Request) (filters.Args, error) {
	if err := httputils.ParseForm(r); err != nil {
		return filters.Args{}, err
	}
	return filters.FromJSON(r.Form.Get("filters"))
}
