package dockerapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/router"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/pkg/stdcopy"

	"stackrun.dev/stack/engine"
)

// logTime is RFC 3339 with all nine digits of the nanoseconds, so that columns align.
const logTime = "2006-01-02T15:04:05.000000000Z07:00"

func logRoutes(e engine.Engine) []router.Route {
	return []router.Route{router.NewGetRoute("/containers/{name:.*}/logs", logs{e}.serve)}
}

// logs serves /containers/{name}/logs.
type logs struct{ engine engine.Engine }

func (l logs) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
	if err := httputils.ParseForm(r); err != nil {
		return err
	}
	opts := container.LogsOptions{
		ShowStdout: httputils.BoolValue(r, "stdout"), ShowStderr: httputils.BoolValue(r, "stderr"),
		Since: r.Form.Get("since"), Until: r.Form.Get("until"), Tail: r.Form.Get("tail"),
		Timestamps: httputils.BoolValue(r, "timestamps"), Follow: httputils.BoolValue(r, "follow"),
	}
	if !opts.ShowStdout && !opts.ShowStderr {
		return engine.Errorf(engine.ErrInvalid, "cannot read the log of container %s: neither stdout nor stderr was asked for", vars["name"])
	}
	c, err := l.engine.ContainerInspect(ctx, vars["name"])
	if err != nil {
		return err
	}
	contentType := types.MediaTypeRawStream
	if !c.Config.Tty && versions.GreaterThanOrEqualTo(httputils.VersionFromContext(ctx), "1.42") {
		contentType = types.MediaTypeMultiplexedStream
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	out := newLogWriter(w, !c.Config.Tty, opts.Timestamps)
	out.copy(ahead(ctx, l.engine.ContainerLogs(ctx, vars["name"], opts)))
	return nil
}

// entryOrError is what a log yields.
type entryOrError struct {
	entry engine.LogEntry
	err   error
}

// ahead reads a log a little further than it is written, so that the writer knows when there is nothing more for now.
func ahead(ctx context.Context, log iter.Seq2[engine.LogEntry, error]) <-chan entryOrError {
	out := make(chan entryOrError, 256)
	go func() {
		defer close(out)
		for entry, err := range log {
			select {
			case out <- entryOrError{entry, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// logWriter writes entries as the API has them. It flushes when it would have to wait for the next one.
type logWriter struct {
	buffer                 *bufio.Writer
	flusher                http.Flusher
	stdout, stderr, failed io.Writer
	timestamps             bool
}

func newLogWriter(w http.ResponseWriter, multiplexed, timestamps bool) *logWriter {
	buffer := bufio.NewWriterSize(w, 32<<10)
	l := &logWriter{buffer: buffer, flusher: newFlusher(w), stdout: buffer, stderr: buffer, failed: buffer, timestamps: timestamps}
	if multiplexed {
		l.stdout = stdcopy.NewStdWriter(buffer, stdcopy.Stdout)
		l.stderr = stdcopy.NewStdWriter(buffer, stdcopy.Stderr)
		l.failed = stdcopy.NewStdWriter(buffer, stdcopy.Systemerr)
	}
	return l
}

// copy ends with the entries or when the client has left.
func (l *logWriter) copy(entries <-chan entryOrError) {
	for {
		var next entryOrError
		more := true
		select {
		case next, more = <-entries:
		default:
			if l.buffer.Flush() != nil {
				return
			}
			l.flusher.Flush()
			next, more = <-entries
		}
		if !more || l.write(next) != nil {
			_ = l.buffer.Flush()
			return
		}
	}
}

// write writes an entry. The answer has begun: an error is told in its own stream.
func (l *logWriter) write(e entryOrError) error {
	if e.err != nil {
		_, err := fmt.Fprintf(l.failed, "Error grabbing logs: %v\n", e.err)
		return err
	}
	line := e.entry.Line
	if l.timestamps {
		line = append(e.entry.Time.UTC().AppendFormat(nil, logTime+" "), line...)
	}
	to := l.stdout
	if e.entry.Stream == "stderr" {
		to = l.stderr
	}
	_, err := to.Write(line)
	return err
}
