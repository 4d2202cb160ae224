package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/moby/sys/user"

	"stackrun.dev/stack/engine"
)

// syncCopies syncs with what every engine has: rm and rmdir, executed in the container, and an archive that is unpacked at
// its root.
func (e *Engine) syncCopies(ctx context.Context, ref string, content io.Reader, opts engine.SyncOptions) error {
	d, err := e.delivery(ctx, ref)
	if err != nil {
		return err
	}
	if d.failed, err = e.removeFiles(ctx, ref, opts.Remove); err != nil {
		return err
	}
	if err := d.unpack(ctx, content); err != nil {
		if ctx.Err() != nil || errors.Is(err, engine.ErrNotFound) {
			return err
		}
		d.failed = append(d.failed, err)
	}
	return engine.SyncFailure(d.failed)
}

// delivery is what goes to one container in one call.
type delivery struct {
	*receiver
	engine *Engine
	ref    string
	failed []error
}

// receiver is what does not change in the life of a container.
type receiver struct {
	owner *owner          // of what is written; nil: the tar says
	fixed map[string]bool // paths that must not be replaced, since something is mounted there or below
}

type owner struct{ uid, gid int }

// delivery looks at the container, once if it is given by its ID. The engine itself would look the user up on its host, and
// empty what is mounted in a directory that gives way.
func (e *Engine) delivery(ctx context.Context, ref string) (*delivery, error) {
	d := &delivery{engine: e, ref: ref}
	if known, ok := e.receivers.Load(ref); ok {
		d.receiver = known.(*receiver)
		return d, nil
	}
	c, err := e.ContainerInspect(ctx, ref)
	if err != nil {
		return nil, err
	}
	var mounts []string
	for _, m := range c.Mounts {
		mounts = append(mounts, m.Destination)
	}
	if c.HostConfig != nil {
		mounts = slices.AppendSeq(mounts, maps.Keys(c.HostConfig.Tmpfs))
	}
	d.receiver = &receiver{fixed: engine.FixedPaths(mounts)}
	if d.owner, err = e.ownerIn(ctx, c); err == nil {
		e.receivers.Store(c.ID, d.receiver)
	}
	return d, err
}

// ownerIn finds the numbers of the container's user, in its own files.
func (e *Engine) ownerIn(ctx context.Context, c container.InspectResponse) (*owner, error) {
	if c.Config == nil || c.Config.User == "" {
		return nil, nil
	}
	passwd, err := e.textOf(ctx, c.ID, "/etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := e.textOf(ctx, c.ID, "/etc/group")
	if err != nil {
		return nil, err
	}
	found, err := user.GetExecUser(c.Config.User, nil, passwd, group)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot find the user %s in container %s: %w", c.Config.User, c.ID, err)
	}
	return &owner{found.Uid, found.Gid}, nil
}

// maxUsers bounds what is read of the files that name users and groups.
const maxUsers = 4 << 20

// textOf reads a regular file of a container; one that is not there is empty.
func (e *Engine) textOf(ctx context.Context, id, name string) (io.Reader, error) {
	content, _, err := e.CopyFrom(ctx, id, name)
	if errors.Is(err, engine.ErrNotFound) {
		return bytes.NewReader(nil), nil
	}
	if err != nil {
		return nil, err
	}
	defer drain(content)
	in := tar.NewReader(content)
	if h, err := in.Next(); err != nil || h.Typeflag != tar.TypeReg {
		return bytes.NewReader(nil), nil
	}
	text, err := io.ReadAll(io.LimitReader(in, maxUsers))
	if err != nil {
		return nil, engine.Errorf(engine.ErrUnavailable, "cannot read %s of container %s: %w", name, id, err)
	}
	return bytes.NewReader(text), nil
}

// unpack has the engine unpack a tar, of which the engine sees what the contract allows.
func (d *delivery) unpack(ctx context.Context, content io.Reader) error {
	in := tar.NewReader(content)
	first, err := in.Next()
	if err == io.EOF {
		_, err := d.engine.ContainerInspect(ctx, d.ref) // it may be gone
		return err
	}
	reader, writer := io.Pipe()
	checked := make(chan error, 1)
	go func() {
		err := d.check(in, first, err, writer)
		writer.CloseWithError(err)
		checked <- err
	}()
	err = d.engine.CopyTo(ctx, d.ref, "/", reader, container.CopyToContainerOptions{AllowOverwriteDirWithFile: true})
	_ = reader.CloseWithError(errUnread)
	if refused := <-checked; refused != nil && !errors.Is(refused, errUnread) {
		return refused
	}
	return err
}

// errUnread ends the checking of a tar that nobody reads any more.
var errUnread = errors.New("the engine has stopped reading")

// check copies a tar entry by entry. The first entry, or why there is none, is given.
func (d *delivery) check(in *tar.Reader, h *tar.Header, err error, to io.Writer) error {
	out := tar.NewWriter(to)
	for ; err == nil; h, err = in.Next() {
		name, err := engine.SyncTarget(h)
		if err != nil {
			return err
		}
		switch isDir := h.Typeflag == tar.TypeDir; {
		case name == "/":
			continue
		case d.fixed[name] && !isDir:
			d.failed = append(d.failed, engine.Errorf(engine.ErrConflict, "cannot replace %s in container %s: it is a mount point, or has one in it", name, d.ref))
			continue
		}
		if err := out.WriteHeader(d.entry(name, h)); err != nil {
			return unreadable(err)
		}
		if _, err := io.Copy(out, in); err != nil {
			return unreadable(err)
		}
	}
	if err != io.EOF {
		return unreadable(err)
	}
	return out.Close()
}

// entry is the header as the engine gets it.
func (d *delivery) entry(name string, h *tar.Header) *tar.Header {
	out := &tar.Header{
		Typeflag: h.Typeflag, Name: strings.TrimPrefix(name, "/"), Linkname: h.Linkname, Size: h.Size, Mode: h.Mode,
		Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime, Format: tar.FormatPAX,
	}
	if h.Typeflag == tar.TypeDir {
		out.Name += "/"
	}
	if d.owner != nil {
		out.Uid, out.Gid = d.owner.uid, d.owner.gid
	}
	return out
}

func unreadable(err error) error {
	if errors.Is(err, errUnread) {
		return err
	}
	return engine.Errorf(engine.ErrInvalid, "cannot read the archive: %w", err)
}

// maxArguments is how many bytes of names a command is given; the kernel takes at least 128 KiB.
const maxArguments = 96 << 10

// removeFiles removes what is no directory first, and then directories that are empty. What could not be removed is told
// in the list; the error says that the container cannot be reached at all.
func (e *Engine) removeFiles(ctx context.Context, ref string, names []string) ([]error, error) {
	var failed []error
	var left [][]string
	chunks, err := inChunks(names)
	if err != nil {
		return nil, err
	}
	for _, chunk := range chunks {
		code, text, err := e.command(ctx, ref, append([]string{"rm", "-f", "--"}, chunk...))
		if err != nil {
			return []error{err}, fatal(ctx, err)
		}
		if code != 0 {
			left = append(left, chunk)
			failed = append(failed, complaints("rm", text, "is a directory", "not a directory")...)
		}
	}
	for _, chunk := range left {
		code, text, err := e.command(ctx, ref, append([]string{"rmdir", "--"}, chunk...))
		if err != nil {
			return append(failed, err), fatal(ctx, err)
		}
		if code != 0 {
			failed = append(failed, complaints("rmdir", text, "no such file", "not a directory", "not empty", "busy")...)
		}
	}
	return failed, nil
}

// fatal is an error after which nothing else can be done in the container.
func fatal(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, engine.ErrNotFound) || errors.Is(err, engine.ErrUnavailable) {
		return err
	}
	return nil
}

// inChunks divides names so that each part can be the arguments of a command.
func inChunks(names []string) ([][]string, error) {
	var chunks [][]string
	size := maxArguments
	for _, name := range names {
		clean, err := engine.SyncPath(name)
		if err != nil {
			return nil, err
		}
		if size += len(clean) + 1 + 8; size > maxArguments { // the byte that ends it, and a pointer to it
			chunks, size = append(chunks, nil), 0
		}
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], clean)
	}
	return chunks, nil
}

// maxComplaints bounds what is kept of a command's messages: whoever made the image decides what it prints.
const maxComplaints = 1 << 20

// beginning keeps what is written first.
type beginning struct{ kept []byte }

func (b *beginning) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), maxComplaints-len(b.kept))]...)
	return len(p), nil
}

// command executes a command as root and returns its exit code and what it complained about.
func (e *Engine) command(ctx context.Context, ref string, args []string) (int, string, error) {
	id, err := e.ExecCreate(ctx, ref, container.ExecOptions{
		User: "0", Cmd: args, Env: []string{"LC_ALL=C"}, WorkingDir: "/", AttachStdout: true, AttachStderr: true,
	})
	var output beginning
	if err == nil {
		err = e.ExecStart(ctx, id, false, engine.AttachOptions{Stdout: io.Discard, Stderr: &output})
	}
	if err != nil {
		return 0, "", notRemoved(ref, args, err)
	}
	exec, err := e.ExecInspect(ctx, id)
	return exec.ExitCode, string(output.kept), err
}

// notRemoved says that this engine needs the container's help.
func notRemoved(ref string, args []string, err error) error {
	const before = "cannot remove files of container %s: "
	switch {
	case errors.Is(err, engine.ErrConflict):
		return engine.Errorf(engine.ErrConflict, before+"this engine can only do so in a container that runs: %w", ref, err)
	case errors.Is(err, engine.ErrInvalid):
		return engine.Errorf(engine.ErrUnsupported, before+"this engine needs the image to have the command %s: %w", ref, args[0], err)
	}
	return err
}

// complaints are the messages of a command, but for those that say what may be. A name may have a newline in it.
func complaints(command, text string, expected ...string) []error {
	var all []error
	for _, message := range strings.Split("\n"+text, "\n"+command+": ") {
		message = strings.TrimSpace(message)
		lower := strings.ToLower(message)
		if message != "" && !slices.ContainsFunc(expected, func(e string) bool { return strings.Contains(lower, e) }) {
			all = append(all, engine.Errorf(complaintKind(lower), "%s: %s", command, message))
		}
	}
	return all
}

func complaintKind(line string) error {
	switch {
	case strings.Contains(line, "read-only"), strings.Contains(line, "not permitted"), strings.Contains(line, "denied"):
		return engine.ErrForbidden
	}
	return engine.ErrConflict
}
