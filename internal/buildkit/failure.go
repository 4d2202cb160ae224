package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/containerd/errdefs"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	solvererrdefs "github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"stackrun.dev/stack/engine"
)

// Explain makes an error that says where in the Dockerfile the build failed, at which instruction, why, and what the
// step printed last.
func (p *Printer) Explain(ctx context.Context, err error, dockerfile string) error {
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, ctx.Err()) {
			return engine.Errorf(engine.ErrUnavailable, "the build was interrupted: %w", cause)
		}
		return ctx.Err()
	}
	place, instruction := locate(err, dockerfile)
	reason, kind := reasonOf(err)
	text := place
	if instruction != "" {
		text += ": " + instruction
	}
	text += ": " + reason
	var v *solvererrdefs.VertexError
	if errors.As(err, &v) {
		if tail := p.tail(digest.Digest(v.Digest)); len(tail) > 0 {
			text += "\n" + strings.Join(tail, "\n")
		}
	}
	return &engine.Error{Kind: kind, Text: text, Err: err}
}

// locate finds the line and the text of the instruction.
func locate(err error, dockerfile string) (place, instruction string) {
	for _, s := range solvererrdefs.Sources(err) {
		if s.Info == nil || len(s.Ranges) == 0 {
			continue
		}
		first, last := int(s.Ranges[0].Start.GetLine()), int(s.Ranges[len(s.Ranges)-1].End.GetLine())
		lines := strings.Split(string(s.Info.Data), "\n")
		if first < 1 || first > len(lines) {
			continue
		}
		instruction = strings.TrimSpace(lines[first-1])
		if last > first {
			instruction = strings.TrimSpace(strings.TrimSuffix(instruction, "\\")) + " …"
		}
		return fmt.Sprintf("%s:%d", s.Info.Filename, first), instruction
	}
	return dockerfile, ""
}

// reasonOf says why in few words, and of which kind that is.
func reasonOf(err error) (string, error) {
	var exit *gatewayapi.ExitError
	if errors.As(err, &exit) && exit.Err == nil {
		return fmt.Sprintf("exit code %d", exit.ExitCode), engine.ErrInvalid
	}
	var own *engine.Error
	if errors.As(err, &own) {
		return own.Text, own.Kind
	}
	var network *net.OpError
	var dns *net.DNSError
	silent := errors.As(err, &network) || errors.As(err, &dns) || soundsSilent(err.Error())
	if strings.Contains(err.Error(), resolvingBase) {
		switch {
		case silent && network != nil:
			return "it is not here, and its registry does not answer: " + network.Error(), engine.ErrUnavailable
		case silent && dns != nil:
			return "it is not here, and its registry does not answer: " + dns.Error(), engine.ErrUnavailable
		case silent:
			return "it is not here, and its registry does not answer: " + lastOf(err.Error()), engine.ErrUnavailable
		case errdefs.IsNotFound(err) || grpcerrors.Code(err) == codes.NotFound:
			return "no such image here, and its registry has none either", engine.ErrNotFound
		}
	}
	if silent {
		return innermost(err), engine.ErrUnavailable
	}
	return innermost(err), engine.ErrInvalid
}

// soundsSilent recognises the errors of the network by their text: over the API of BuildKit nothing else is left of them.
func soundsSilent(text string) bool {
	for _, words := range []string{"connection refused", "no such host", "i/o timeout", "network is unreachable", "no route to host", "server misbehaving"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// lastOf is the end of the text, from where the network is spoken of.
func lastOf(text string) string {
	if i := strings.LastIndex(text, "dial "); i >= 0 {
		return text[i:]
	}
	return text
}

// resolvingBase is in the message of an error about an image that a Dockerfile names.
const resolvingBase = "failed to resolve source metadata for "

// noise is what BuildKit's layers put in front of a message without telling the user anything.
var noise = []string{"failed to solve: ", "failed to compute cache key: ", "failed to load cache key: ", "dockerfile parse error on line "}

// innermost is the error's text without the noise.
func innermost(err error) string {
	text := err.Error()
	for again := true; again; {
		again = false
		for _, prefix := range noise {
			rest, ok := strings.CutPrefix(text, prefix)
			if !ok {
				continue
			}
			if prefix == noise[len(noise)-1] { // the number of the line is part of the place
				_, rest, _ = strings.Cut(rest, ": ")
			}
			text, again = rest, true
		}
	}
	return text
}
