package dockerapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/router"

	"stackrun.dev/stack/engine"
)

// Docker's API has no calls for syncing; these are outside of its space. engine.EngineSyncs tells clients that they are there.
const (
	comparePath = "/_stack/containers/{name:.*}/files/compare"
	syncPath    = "/_stack/containers/{name:.*}/files/sync"
)

// What a request may have the server keep in memory.
const (
	maxCompared     = 1_000_000
	maxComparedText = 256 << 20
	maxRemovedSize  = 64 << 20
)

func syncRoutes(e engine.Engine) []router.Route {
	s := syncs{e}
	return []router.Route{router.NewPostRoute(comparePath, s.compare), router.NewPostRoute(syncPath, s.sync)}
}

// syncs serves the files of containers to those who keep them like others.
type syncs struct{ engine engine.Engine }

// compare takes what engine.WriteFileStates writes and answers with the indexes of those that differ, in JSON.
func (s syncs) compare(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	files, err := engine.ReadFileStates(r.Body, maxCompared, maxComparedText)
	if err != nil {
		return unread(r, err)
	}
	differ, err := s.engine.CompareFiles(ctx, vars["name"], files)
	if err != nil {
		return err
	}
	if differ == nil {
		differ = []int{}
	}
	return httputils.WriteJSON(w, http.StatusOK, differ)
}

// sync takes engine.SyncOptions in JSON, a newline, and the tar.
func (s syncs) sync(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	opts, content, err := readSync(r.Body)
	if err == nil {
		err = s.engine.SyncFiles(ctx, vars["name"], content, opts)
	}
	if err != nil {
		return unread(r, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// unread takes the rest of a request that has failed: a client that is still sending would see its connection break and not the
// answer.
func unread(r *http.Request, err error) error {
	_, _ = io.Copy(io.Discard, r.Body)
	return err
}

// readSync reads the options and leaves the rest, which is the tar.
func readSync(body io.Reader) (engine.SyncOptions, io.Reader, error) {
	var opts engine.SyncOptions
	bounded := &io.LimitedReader{R: body, N: maxRemovedSize}
	in := json.NewDecoder(bounded)
	if err := in.Decode(&opts); err != nil {
		if bounded.N <= 0 {
			err = errors.New("the list of what is to be removed is too long")
		}
		return opts, nil, engine.Errorf(engine.ErrInvalid, "cannot read the options of a sync: %w", err)
	}
	rest := bufio.NewReaderSize(io.MultiReader(in.Buffered(), body), 64<<10)
	if c, err := rest.ReadByte(); err != nil || c != '\n' {
		return opts, nil, engine.Errorf(engine.ErrInvalid, "cannot read the options of a sync: no newline follows them")
	}
	return opts, rest, nil
}
