package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"stackrun.dev/stack/engine"
)

// maxFrame bounds what a broken stream can make us allocate. An engine's frames hold a line of at most 16 KiB.
const maxFrame = 16 << 20

// ContainerLogs implements engine.Containers.
func (e *Engine) ContainerLogs(ctx context.Context, ref string, opts container.LogsOptions) iter.Seq2[engine.LogEntry, error] {
	opts.Timestamps, opts.Details = true, false
	return func(yield func(engine.LogEntry, error) bool) {
		// The request must end with the loop, also when the caller breaks out of it.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		body, err := e.api.ContainerLogs(ctx, ref, opts)
		if err != nil {
			yield(engine.LogEntry{}, e.failed(err))
			return
		}
		defer body.Close()
		err = readLog(bufio.NewReaderSize(body, 32<<10), func(entry engine.LogEntry) bool { return yield(entry, nil) })
		switch {
		case errors.Is(err, errStopped):
		case ctx.Err() != nil:
			yield(engine.LogEntry{}, ctx.Err())
		case err != nil:
			yield(engine.LogEntry{}, engine.Errorf(engine.ErrUnavailable, "cannot read on in the log of container %s: %w", ref, err))
		}
	}
}

// errStopped: the caller does not want more.
var errStopped = errors.New("stopped")

// readLog reads either form of a log. With timestamps a terminal's raw log begins with the digit of a year and a
// multiplexed one with the number of a stream, so the stream says itself which it is.
func readLog(r *bufio.Reader, emit func(engine.LogEntry) bool) error {
	first, err := r.Peek(1)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	if first[0] > byte(stdcopy.Systemerr) {
		return readRaw(r, emit)
	}
	return readFrames(r, emit)
}

// readFrames reads frames of an 8 byte header (stream, three zeros, length) and one entry each.
func readFrames(r *bufio.Reader, emit func(engine.LogEntry) bool) error {
	var header [8]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return endOf(err)
		}
		size := binary.BigEndian.Uint32(header[4:])
		if size > maxFrame {
			return errors.New("a frame of the stream is too long")
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(r, frame); err != nil {
			return endOf(err)
		}
		if stdcopy.StdType(header[0]) == stdcopy.Systemerr {
			return errors.New(string(bytes.TrimSpace(frame)))
		}
		stream := "stdout"
		if stdcopy.StdType(header[0]) == stdcopy.Stderr {
			stream = "stderr"
		}
		if !emit(entry(stream, frame)) {
			return errStopped
		}
	}
}

func readRaw(r *bufio.Reader, emit func(engine.LogEntry) bool) error {
	for {
		line, err := r.ReadBytes('\n')
		whole := err == nil || errors.Is(err, io.EOF) // else the stream has broken off, and who reads on gets the line again
		if whole && len(line) > 0 && !emit(entry("stdout", line)) {
			return errStopped
		}
		if err != nil {
			return endOf(err)
		}
	}
}

// endOf tells the regular end of a stream from a broken one.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// entry splits "2006-01-02T15:04:05.999999999Z text".
func entry(stream string, line []byte) engine.LogEntry {
	stamp, text, ok := bytes.Cut(line, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if !ok || err != nil {
		return engine.LogEntry{Stream: stream, Line: line}
	}
	return engine.LogEntry{Time: at.UTC(), Stream: stream, Line: text}
}
