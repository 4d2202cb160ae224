package snapshot

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that a zstd stream may ask for; it is what the zstd program allows by default.
const maxWindow = 128 << 20

var (
	magicGzip  = []byte{0x1f, 0x8b}
	magicZstd  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicBzip2 = []byte("BZh")
	magicXZ    = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
)

// Decompress returns the plain content of r, which may be compressed with gzip, zstd, bzip2 or, if the host has the
// program xz, xz. What it is compressed with is told by its first bytes. Closing does not close r.
func Decompress(ctx context.Context, r io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	magic, err := in.Peek(len(magicXZ))
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, magicGzip):
		return gzip.NewReader(in)
	case bytes.HasPrefix(magic, magicZstd):
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case bytes.HasPrefix(magic, magicBzip2):
		return io.NopCloser(bzip2.NewReader(in)), nil
	case bytes.HasPrefix(magic, magicXZ):
		return unxz(ctx, in)
	default:
		return io.NopCloser(in), nil
	}
}

// unxz runs the xz program, as Docker does: the format is rare and no library for it is maintained.
func unxz(ctx context.Context, r io.Reader) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "xz", "--decompress", "--stdout", "--quiet")
	stderr := new(strings.Builder)
	cmd.Stdin, cmd.Stderr = r, stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("cannot decompress xz: %w", err)
	}
	return &xzReader{out: out, cmd: cmd, cancel: cancel, stderr: stderr}, nil
}

type xzReader struct {
	out    io.Reader
	cmd    *exec.Cmd
	cancel context.CancelFunc
	stderr *strings.Builder
	ended  bool
	err    error
}

func (x *xzReader) Read(p []byte) (int, error) {
	if x.ended {
		return 0, x.err
	}
	n, err := x.out.Read(p)
	if err != nil {
		x.end(err)
	}
	if n > 0 {
		return n, nil
	}
	return n, x.err
}

// end waits for the program: only its exit code tells that the stream was whole.
func (x *xzReader) end(cause error) {
	x.ended, x.err = true, cause
	if err := x.cmd.Wait(); err != nil {
		x.err = fmt.Errorf("cannot decompress xz: %s: %w", strings.TrimSpace(x.stderr.String()), err)
	}
}

func (x *xzReader) Close() error {
	x.cancel()
	if !x.ended {
		x.end(io.ErrClosedPipe)
	}
	return nil
}
