package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultIdle is the grace time after which an engine leaves when nothing runs and nobody is connected.
const DefaultIdle = 10 * time.Second

// takeOver is how long a new engine waits for one that is leaving.
const takeOver = 30 * time.Second

// farewell is how long requests in flight have to finish when the engine ends.
const farewell = 3 * time.Second

// Opener opens the engine itself. It calls busy whenever the number of containers changes that run or are about to be
// restarted. The handler serves the Docker Engine API; the closer gives back what the engine took, containers excepted.
type Opener func(ctx context.Context, t Target, busy func(running int)) (http.Handler, io.Closer, error)

// ServeOptions says how an engine serves.
type ServeOptions struct {
	Open       Opener
	Version    string        // the program's, shown in the status
	APIVersion string        // the newest of the Docker Engine API, so that clients of ours need not ask
	Idle       time.Duration // see DefaultIdle; 0 means never to leave
	Ready      *os.File      // told once that the engine is ready, or why it is not; may be nil

	Listening func() // called when it listens; may be nil

	// Guest opens what else lives in the engine's process. It says by kept how many projects it looks after, for which the engine
	// stays. nil: nothing does.
	Guest func(t Target, kept func(n int)) (Guest, error)

	Detach bool // send standard output and error to the engine's log
	Log    func(io.Writer)
}

// Guest lives in the engine's process, uses the engine through its socket, and answers requests below GuestPath.
type Guest interface {
	http.Handler
	Start()                // called when the engine listens
	Close(context.Context) // called before it no longer does
}

// GuestPath is below which a Guest answers.
const GuestPath = "/_stack/keep"

// Serve is the engine's process: it takes the state root, opens the engine, listens, and returns when the engine has
// left, was told to end by SIGTERM or SIGINT, or the context is done. Containers go on running.
func Serve(ctx context.Context, t Target, o ServeOptions) (err error) {
	ready := &readiness{file: o.Ready}
	defer func() { ready.tell(t, err) }()
	unix.Umask(0o022)
	if o.Detach {
		forgetCaller()
	}
	if err := t.makeDirs(); err != nil {
		return err
	}
	lock, err := takeRoot(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	closeLog, err := redirect(t, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()

	told, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithCancel(told)
	defer cancel()
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)

	idle := newIdler(o.Idle, firstCall(o), cancel)
	defer idle.stop()
	handler, engine, err := o.Open(ctx, t, idle.setRunning)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	guest, err := invite(t, o, idle)
	if err != nil {
		return err
	}
	h := house{handler: mux(t, o, idle, guest, handler), idle: idle, guest: guest, told: told}
	return h.serve(ctx, t, func() {
		guest.Start()
		ready.tell(t, nil)
		if o.Listening != nil {
			o.Listening()
		}
	})
}

// invite opens the guest, or nobody.
func invite(t Target, o ServeOptions, idle *idler) (Guest, error) {
	if o.Guest == nil {
		return nobody{http.NotFoundHandler()}, nil
	}
	return o.Guest(t, idle.setKept)
}

type nobody struct{ http.Handler }

func (nobody) Start()                {}
func (nobody) Close(context.Context) {}

// firstCall is how long an engine waits for the one who started it.
func firstCall(o ServeOptions) time.Duration {
	if o.Detach {
		return DefaultIdle
	}
	return 0
}

func redirect(t Target, o ServeOptions) (func() error, error) {
	if !o.Detach {
		return func() error { return nil }, nil
	}
	l, err := openLog(t.LogFile(), maxLogSize, 1, 2)
	if err != nil {
		return nil, err
	}
	if o.Log != nil {
		o.Log(l)
	}
	return l.Close, nil
}

// takeRoot makes this process the engine of the state root.
func takeRoot(ctx context.Context, t Target) (*Lock, error) {
	lock, pid, err := tryLock(t.rootLock())
	if !errors.Is(err, errHeld) {
		return lock, err
	}
	if lease, err := dial(ctx, t); err == nil {
		_ = lease.Close()
		return nil, fmt.Errorf("an engine runs on %s already (process %d)", t.Root, pid)
	}
	// It does not answer: it is on its way out, or still coming up with its socket elsewhere.
	wait, cancel := context.WithTimeout(ctx, takeOver)
	defer cancel()
	lock, err = waitLock(wait, t.rootLock())
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("process %d keeps %s and does not answer at %s", pid, t.Root, t.Socket())
	}
	return lock, err
}

// house is what the engine's process serves, and who lives in it.
type house struct {
	handler http.Handler
	idle    *idler
	guest   Guest
	told    context.Context // done when the engine is told to stop
}

// serve listens until the context is done and then lets the requests in flight finish.
func (h *house) serve(ctx context.Context, t Target, ready func()) (err error) {
	l, err := listen(t)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(t.pidFile()) }()
	if err := os.WriteFile(t.pidFile(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return errors.Join(fmt.Errorf("cannot write the engine's pid file: %w", err), l.Close())
	}
	if err := t.markStarted(); err != nil {
		return errors.Join(err, l.Close())
	}
	// Streams that would never end, such as events and followed logs, end with this context.
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:           h.handler,
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(countingListener{l, h.idle}) }()
	ready()
	notifySystemd("READY=1")
	select {
	case err := <-done:
		return fmt.Errorf("cannot serve on %s: %w", t.Socket(), err)
	case <-ctx.Done():
	}
	notifySystemd("STOPPING=1")
	if h.told.Err() != nil {
		err = t.markStopped()
	}
	leave, forget := context.WithTimeout(context.Background(), farewell)
	defer forget()
	h.guest.Close(leave)
	return errors.Join(err, shutdown(server, cancel))
}

func shutdown(server *http.Server, cancelRequests func()) error {
	cancelRequests()
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}

// listen replaces the socket that a killed engine left behind; the lock on the root says that nobody uses it.
func listen(t Target) (net.Listener, error) {
	if err := os.Remove(t.Socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot replace the engine's socket: %w", err)
	}
	l, err := net.Listen("unix", t.Socket())
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	if err := os.Chmod(t.Socket(), 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot protect the engine's socket: %w", err), l.Close())
	}
	return l, nil
}

// countingListener tells the idler about connections, hijacked ones included.
type countingListener struct {
	net.Listener
	idle *idler
}

func (l countingListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.idle.connected() {
			return &countedConn{UnixConn: c.(*net.UnixConn), idle: l.idle}, nil
		}
		_ = c.Close()
	}
}

type countedConn struct {
	*net.UnixConn // with CloseWrite, which hijacked streams need
	idle          *idler
	once          sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(c.idle.disconnected)
	return c.UnixConn.Close()
}

// notifySystemd tells the service manager, if there is one, how the service fares. See sd_notify(3).
func notifySystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte(state))
}
