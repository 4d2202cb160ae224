package launch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Lease is a connection to the embedded engine. The engine does not leave while it is open.
type Lease struct {
	conn   *net.UnixConn
	reader *bufio.Reader
	status Status
}

// Close lets the engine go.
func (l *Lease) Close() error {
	if l == nil {
		return nil
	}
	return l.conn.Close()
}

// Wait waits until the engine has gone, or the context is done. All that the lease is good for then is to be closed.
func (l *Lease) Wait(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _ = l.reader.Peek(1) // the engine says nothing unless it is asked
}

// APIVersion is the newest version of the Docker Engine API that the engine speaks, or "" if it does not tell.
func (l *Lease) APIVersion() string {
	if l == nil {
		return ""
	}
	return l.status.APIVersion
}

// errAbsent means that no engine listens.
var errAbsent = errors.New("no engine listens")

// dial connects to the engine if it is there. An engine that is just leaving counts as absent.
func dial(ctx context.Context, t Target) (*Lease, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", t.Socket())
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return nil, errAbsent
	case errors.Is(err, unix.EACCES):
		return nil, fmt.Errorf("no permission to use the engine's socket %s: run as root", t.Socket())
	case err != nil:
		return nil, fmt.Errorf("cannot reach the engine: %w", err)
	}
	conn := c.(*net.UnixConn)
	l := &Lease{conn: conn, reader: bufio.NewReader(conn)}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if l.status, err = l.ask(http.MethodGet, statusPath); err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errAbsent
	}
	if pid := peer(conn); pid != 0 {
		l.status.PID = pid
	}
	return l, nil
}

// ask makes one of the engine's own requests over the lease's connection.
func (l *Lease) ask(method, path string) (Status, error) {
	req := method + " " + path + " HTTP/1.1\r\nHost: stack\r\nContent-Length: 0\r\n\r\n"
	if _, err := l.conn.Write([]byte(req)); err != nil {
		return Status{}, err
	}
	resp, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return Status{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("the engine answers %s to %s", resp.Status, path)
	}
	var s Status
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// Program finds the file to execute as the engine, with the arguments "engine run".
type Program func(Target) (path string, err error)

// Start connects to the embedded engine and starts it first if nobody listens.
func Start(ctx context.Context, t Target, program Program) (*Lease, error) {
	return start(ctx, t, program, func() error { return nil })
}

// start is Start that asks, while nobody else starts one, whether an engine may be started.
func start(ctx context.Context, t Target, program Program, may func() error) (*Lease, error) {
	lease, err := dial(ctx, t)
	if !errors.Is(err, errAbsent) {
		return lease, err
	}
	if os.Getuid() != 0 {
		return nil, errors.New("the embedded engine needs root: run stack as root, or set DOCKER_HOST to use another engine")
	}
	if err := t.makeDirs(); err != nil {
		return nil, err
	}
	lock, err := Acquire(ctx, t.startLock(), nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	if lease, err = dial(ctx, t); !errors.Is(err, errAbsent) {
		return lease, err
	}
	if err := may(); err != nil {
		return nil, err
	}
	if err := spawn(ctx, t, program); err != nil {
		return nil, err
	}
	lease, err = dial(ctx, t)
	if errors.Is(err, errAbsent) {
		return nil, fmt.Errorf("cannot start the engine: it was ready and ended at once; its log is %s", t.LogFile())
	}
	return lease, err
}

// pastDeadline makes a blocked read return.
var pastDeadline = time.Unix(1, 0)

// readyFD is where the started engine finds the pipe: the first descriptor after standard error.
const readyFD = 3

// spawn starts the engine in a session of its own and returns when it is ready.
func spawn(ctx context.Context, t Target, program Program) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot start the engine: %w", err)
	}
	defer func() { _ = r.Close() }()
	mark := logSize(t.LogFile())
	cmd, err := command(t, program, w)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	err = cmd.Start()
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("cannot start the engine: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(pastDeadline) })
	defer stop()
	err = awaitReady(r)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errSilent):
		<-exited
		return fmt.Errorf("cannot start the engine: it ended at once (%s)%s", cmd.ProcessState, lastWords(t.LogFile(), mark))
	default:
		return fmt.Errorf("cannot start the engine: %w", err)
	}
}

func command(t Target, program Program, ready *os.File) (*exec.Cmd, error) {
	path, err := program(t)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(t.LogFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the engine's log: %w", err)
	}
	cmd := exec.Command(path, "engine", "run", "--detached", fmt.Sprintf("--ready-fd=%d", readyFD))
	cmd.Args[0] = os.Args[0]
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "STACK_ROOT="+t.Root, "STACK_RUN="+t.Run)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{ready}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

func logSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// lastWords is what the engine wrote to its log since it had the size mark, shortened to the end.
func lastWords(path string, mark int64) string {
	const most = 2000
	data, err := os.ReadFile(path)
	if err != nil || int64(len(data)) <= mark {
		return ""
	}
	words := strings.TrimSpace(string(data[mark:]))
	if len(words) > most {
		words = "…" + words[len(words)-most:]
	}
	return ":\n" + words
}
