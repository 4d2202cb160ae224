package engine

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// The kinds of errors. They are those of github.com/containerd/errdefs, which Docker's server maps to HTTP statuses
// and Docker's client maps back, so that a kind survives the way over a socket. Test with errors.Is.
var (
	// ErrNotFound: no object of that name. HTTP 404.
	ErrNotFound = errdefs.ErrNotFound
	// ErrConflict: the object's state does not allow this, for example a name that is taken or a network in use.
	// HTTP 409.
	ErrConflict = errdefs.ErrConflict
	// ErrInvalid: the request makes no sense whatever the state. HTTP 400.
	ErrInvalid = errdefs.ErrInvalidArgument
	// ErrUnsupported: the request makes sense but this engine cannot do it. HTTP 501.
	ErrUnsupported = errdefs.ErrNotImplemented
	// ErrForbidden: the engine may not do this, for example a write through the read-only decorator. HTTP 403.
	ErrForbidden = errdefs.ErrPermissionDenied
	// ErrUnavailable: the engine, or something it needs such as a registry, does not answer. HTTP 503.
	ErrUnavailable = errdefs.ErrUnavailable
	// ErrInternal: the engine failed, and the request is not to blame. HTTP 500. Also what is of no other kind.
	ErrInternal = errdefs.ErrInternal
)

// Error gives a message one of the kinds above without showing the kind's own words to the user.
type Error struct {
	Kind error  // one of the Err values of this package
	Text string // lower case, with the name of the object, "cannot X: cause"
	Err  error  // the cause, if there is one; its text is part of Text already
}

func (e *Error) Error() string   { return e.Text }
func (e *Error) Unwrap() []error { return nonNil(e.Kind, e.Err) }

// Errorf makes an Error of the given kind. The format takes %w, as fmt.Errorf does.
func Errorf(kind error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Text: err.Error(), Err: errors.Unwrap(err)}
}

func nonNil(errs ...error) []error {
	out := errs[:0:0]
	for _, err := range errs {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}
