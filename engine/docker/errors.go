package docker

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/docker/docker/client"

	"stackrun.dev/stack/engine"
)

// kinds are the contract's, the ones that Docker's client derives from the HTTP status.
var kinds = []error{
	engine.ErrNotFound, engine.ErrConflict, engine.ErrInvalid, engine.ErrUnsupported,
	engine.ErrForbidden, engine.ErrUnavailable,
}

// misfiled lists what Docker answers with a status that says less, or something else, than its text does.
var misfiled = []struct {
	status, kind error
	text         string
}{
	{engine.ErrForbidden, engine.ErrInvalid, "Pool overlaps with other one"},
	{engine.ErrForbidden, engine.ErrConflict, "has active endpoints"},
	{engine.ErrForbidden, engine.ErrConflict, "already exists in network"},
	{engine.ErrNotFound, engine.ErrInvalid, `plugin "`},
	{engine.ErrInternal, engine.ErrConflict, "port is already allocated"},
	{engine.ErrInternal, engine.ErrConflict, "address already in use"},
	{engine.ErrInternal, engine.ErrConflict, "is not running"},
	{engine.ErrInternal, engine.ErrConflict, "is not connected to"},
	{engine.ErrInternal, engine.ErrForbidden, "is marked read-only"},
	{engine.ErrInternal, engine.ErrInvalid, "executable file not found in $PATH"},
	{engine.ErrInternal, engine.ErrInvalid, "invalid tar header"},
	{engine.ErrInternal, engine.ErrInvalid, "unexpected EOF"},
	{engine.ErrInternal, engine.ErrInvalid, "invalid pool request"},
	{engine.ErrInternal, engine.ErrInvalid, "invalid CIDR address"},
	{engine.ErrInternal, engine.ErrInvalid, "mount path must be absolute"},
	{engine.ErrInternal, engine.ErrNotFound, "manifest unknown"},
	{engine.ErrInternal, engine.ErrNotFound, "tag does not exist"},
	{engine.ErrInternal, engine.ErrNotFound, "does not exist locally"},
	{engine.ErrInternal, engine.ErrUnavailable, "connection refused"},
	{engine.ErrInternal, engine.ErrUnavailable, "no such host"},
	{engine.ErrInternal, engine.ErrUnavailable, "i/o timeout"},
	{engine.ErrInternal, engine.ErrUnavailable, "TLS handshake timeout"},
}

// failed turns an error of Docker's client into one of the contract.
func (e *Engine) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if request, ok := errors.AsType[*url.Error](err); ok {
			return request.Err // the caller has ended the call; the engine is not to blame
		}
		return err
	case unreachable(err):
		return e.notThere(err)
	}
	text := plain(err.Error())
	return &engine.Error{Kind: kindOf(err, text), Text: text, Err: err}
}

// plain takes away what Docker's client says before every error of the engine.
func plain(text string) string {
	return strings.TrimSpace(strings.TrimPrefix(text, "Error response from daemon: "))
}

// kindOf finds the kind in the status and, where the status misleads, in the text.
func kindOf(err error, text string) error {
	var status error = engine.ErrInternal
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			status = kind
			break
		}
	}
	for _, m := range misfiled {
		if status == m.status && strings.Contains(text, m.text) {
			return m.kind
		}
	}
	return status
}

// unreachable tells that no engine took the request.
func unreachable(err error) bool {
	var op *net.OpError
	return client.IsErrConnectionFailed(err) || errors.As(err, &op) && op.Op == "dial"
}

func (e *Engine) notThere(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), "permission denied"):
		return engine.Errorf(engine.ErrForbidden,
			"cannot connect to the engine at %s: permission denied; run as root or as a member of the socket's group", e.host)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return engine.Errorf(engine.ErrUnavailable,
			"cannot connect to the engine at %s: nothing listens there; start it, or name another with --host", e.host)
	}
	return engine.Errorf(engine.ErrUnavailable, "cannot connect to the engine at %s: %w", e.host, err)
}
