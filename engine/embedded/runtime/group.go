package runtime

import (
	"errors"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
)

// group is the containers that share a shim, and the connection to it.
type group struct {
	runtime *Runtime
	name    string

	mu     sync.Mutex // held while a connection is made
	client *client    // nil: none
	pushed map[string]bool

	use  sync.Mutex // guards what follows
	busy int        // calls that need the shim
	idle *time.Timer
}

// linger is how long a shim is kept that has no container, because the next one may come soon.
const linger = 5 * time.Second

// patience is how long a shim may take to give an account of its containers before it is replaced.
const patience = 20 * time.Second

// connected returns a connection to a shim of this version that has adopted all containers.
func (g *group) connected() (*client, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.client != nil {
		select {
		case <-g.client.lost:
		default:
			return g.client, nil
		}
	}
	conn, fresh, err := g.runtime.connect(g.name)
	if err != nil {
		return nil, err
	}
	c, err := g.greet(conn)
	if err != nil && !fresh { // it was about to end, or is of another version
		if err = g.evict(); err == nil {
			if conn, err = g.runtime.launch(g.name); err == nil {
				c, err = g.greet(conn)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	g.client = c
	go g.watch(c)
	return c, nil
}

// errVersion says that the shim speaks another version of the protocol.
var errVersion = errors.New("the shim is of another version")

// greet hands over what was kept, learns what the shim has, and keeps what must not die with it.
func (g *group) greet(conn *protocol.Conn) (*client, error) {
	hung := time.AfterFunc(patience, func() { conn.Close() })
	defer hung.Stop()
	events := &early{handle: func(m protocol.Message) { g.runtime.handle(g, m) }}
	c := newClient(conn, events.receive)
	for _, ct := range g.runtime.of(g) {
		if err := ct.handOver(c); err != nil {
			conn.Close()
			return nil, err
		}
		ct.reattach(c)
	}
	var hello protocol.HelloReply
	if _, err := c.call(protocol.MethodHello, protocol.HelloRequest{Version: protocol.Version}, &hello); err != nil {
		conn.Close()
		return nil, err
	}
	g.pushed = map[string]bool{}
	for _, state := range hello.Containers {
		for _, id := range state.Networks {
			g.pushed[id] = true
		}
	}
	g.runtime.reconcile(g, hello.Containers)
	events.release()
	for _, ct := range g.runtime.of(g) {
		if err := ct.hold(c); err != nil {
			conn.Close()
			return nil, err
		}
	}
	if hello.Version != protocol.Version {
		conn.Close()
		return nil, errVersion
	}
	return c, nil
}

// evict ends a shim that cannot be talked to. Its containers do not notice.
func (g *group) evict() error {
	dir := protocol.GroupDir(g.runtime.opts.RunDir, g.name)
	b, err := os.ReadFile(dir.Pid())
	if err != nil {
		return nil //nolint:nilerr // it has ended and removed its files
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	if !isShim(pid, dir) {
		return nil
	}
	p, err := pidfd.OpenOther(pid, startTime(pid))
	if err != nil {
		return nil //nolint:nilerr // it has ended
	}
	defer p.Close()
	if !isShim(pid, dir) {
		return nil
	}
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil // its successor waits for the lock
}

// isShim tells whether the process is the shim of that directory.
func isShim(pid int, dir protocol.Dir) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	args := strings.Split(string(b), "\x00")
	return err == nil && len(args) > 1 && args[0] == "stack-shim" && args[1] == string(dir)
}

func startTime(pid int) uint64 {
	t, err := pidfd.StartTime(pid)
	if err != nil {
		return 0
	}
	return t
}

// watch replaces the shim when it dies although it has containers.
func (g *group) watch(c *client) {
	<-c.lost
	for _, ct := range g.runtime.of(g) {
		ct.shimLost()
	}
	g.mu.Lock()
	current := g.client == c
	if current {
		g.client = nil
	}
	g.mu.Unlock()
	if !current || g.runtime.isClosed() || len(g.runtime.alive(g)) == 0 {
		return
	}
	if _, err := g.connected(); err != nil {
		g.runtime.abandon(g, err)
	}
}

// acquire is for a call that needs the shim; release follows it.
func (g *group) acquire() (*client, error) {
	g.use.Lock()
	g.busy++
	if g.idle != nil {
		g.idle.Stop()
		g.idle = nil
	}
	g.use.Unlock()
	c, err := g.connected()
	if err != nil {
		g.release()
	}
	return c, err
}

func (g *group) release() {
	g.use.Lock()
	defer g.use.Unlock()
	g.busy--
	g.considerIdle()
}

// considerIdle lets the shim go some time after the last container has stopped. The caller holds g.use.
func (g *group) considerIdle() {
	if g.busy > 0 || g.idle != nil || len(g.runtime.alive(g)) > 0 {
		return
	}
	g.idle = time.AfterFunc(linger, g.letGo)
}

func (g *group) letGo() {
	g.use.Lock()
	defer g.use.Unlock()
	g.idle = nil
	if g.busy > 0 || len(g.runtime.alive(g)) > 0 {
		return
	}
	g.disconnect()
}

// disconnect leaves the shim to itself. It ends if nothing runs.
func (g *group) disconnect() {
	g.mu.Lock()
	c := g.client
	g.client = nil
	g.mu.Unlock()
	if c != nil {
		c.conn.Close()
	}
}

// with lets do speak to the group's shim. If the shim turns out to be dead before it got anything, do is called again
// with its successor.
func (g *group) with(do func(*client) error) error {
	for {
		c, err := g.acquire()
		if err != nil {
			return err
		}
		err = do(c)
		g.release()
		if !errors.Is(err, errUnsent) || g.runtime.isClosed() {
			return err
		}
		<-c.lost
	}
}

// call sends a request to the group's shim.
func (g *group) call(method protocol.Method, body, answer any, send ...*os.File) (files []*os.File, err error) {
	err = g.with(func(c *client) error {
		files, err = c.call(method, body, answer, send...)
		return err
	})
	return files, err
}

// push sends the tables of networks that the shim may not know yet.
func (g *group) push(c *client, networks []string) error {
	names := protocol.Names{}
	g.runtime.mu.Lock()
	for _, id := range networks {
		if table, ok := g.runtime.names[id]; ok {
			names[id] = table
		}
	}
	g.runtime.mu.Unlock()
	g.mu.Lock()
	maps.DeleteFunc(names, func(id string, _ protocol.NetworkNames) bool { return g.pushed[id] })
	for _, id := range networks {
		g.pushed[id] = true
	}
	g.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	_, err := c.call(protocol.MethodSetNames, names, nil)
	return err
}
