package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"

	"stackrun.dev/stack/engine"
)

// CompareFiles implements engine.Syncs. An engine that does not compare by itself hands its files out for it.
func (e *Engine) CompareFiles(ctx context.Context, ref string, files []engine.FileState) ([]int, error) {
	syncs, err := e.syncs(ctx)
	switch {
	case err != nil:
		return nil, err
	case !syncs:
		return e.compareCopies(ctx, ref, files)
	}
	reader, writer := io.Pipe()
	defer reader.Close()
	go func() { writer.CloseWithError(engine.WriteFileStates(writer, files)) }()
	answer, err := e.post(ctx, ref, "compare", reader)
	if err != nil {
		return nil, err
	}
	defer drain(answer.Body)
	var differ []int
	if err := json.NewDecoder(answer.Body).Decode(&differ); err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot read which files of container %s differ: %w", ref, err)
	}
	return differ, nil
}

// SyncFiles implements engine.Syncs.
func (e *Engine) SyncFiles(ctx context.Context, ref string, content io.Reader, opts engine.SyncOptions) error {
	syncs, err := e.syncs(ctx)
	switch {
	case err != nil:
		return err
	case !syncs:
		return e.syncCopies(ctx, ref, content, opts)
	}
	head, err := json.Marshal(opts)
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot sync files to container %s: %w", ref, err)
	}
	answer, err := e.post(ctx, ref, "sync", io.MultiReader(bytes.NewReader(append(head, '\n')), content))
	if err == nil {
		drain(answer.Body)
	}
	return err
}

// syncs asks the engine once whether it syncs by itself.
func (e *Engine) syncs(ctx context.Context) (bool, error) {
	if known := e.syncing.Load(); known != nil {
		return *known, nil
	}
	v, err := e.Version(ctx)
	if err != nil {
		return false, err
	}
	syncs := engine.EngineSyncs(v)
	e.syncing.Store(&syncs)
	return syncs, nil
}

// maxMessage bounds the text of an error that is read.
const maxMessage = 1 << 20

// post calls what engines of ours have beside Docker's API, which Docker's client cannot.
func (e *Engine) post(ctx context.Context, ref, what string, body io.Reader) (*http.Response, error) {
	at := url.URL{Scheme: "http", Host: client.DummyHost, Path: "/_stack/containers/" + ref + "/files/" + what}
	if !strings.HasPrefix(e.host, "unix://") {
		at.Host = e.host[strings.Index(e.host, "://")+3:]
	}
	web := e.api.HTTPClient()
	if t, ok := web.Transport.(*http.Transport); ok && t.TLSClientConfig != nil {
		at.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), body)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot ask the engine at %s: %w", e.host, err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	answer, err := web.Do(req)
	if err != nil {
		return nil, e.failed(err)
	}
	if answer.StatusCode < http.StatusBadRequest {
		return answer, nil
	}
	defer drain(answer.Body)
	return nil, told(answer)
}

// statuses are the kinds by the status that tells them.
var statuses = map[int]error{
	http.StatusNotFound: engine.ErrNotFound, http.StatusConflict: engine.ErrConflict, http.StatusBadRequest: engine.ErrInvalid,
	http.StatusNotImplemented: engine.ErrUnsupported, http.StatusForbidden: engine.ErrForbidden, http.StatusServiceUnavailable: engine.ErrUnavailable,
}

// told is the error that an answer tells.
func told(answer *http.Response) error {
	kind := statuses[answer.StatusCode]
	if kind == nil {
		kind = engine.ErrInternal
	}
	var message types.ErrorResponse
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxMessage)).Decode(&message); err != nil || message.Message == "" {
		message.Message = fmt.Sprintf("the engine answers %s", answer.Status)
	}
	return &engine.Error{Kind: kind, Text: message.Message}
}
