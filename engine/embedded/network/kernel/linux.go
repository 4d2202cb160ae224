package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Linux is the kernel, seen from the network namespace that New was called in.
type Linux struct {
	OpenNamespace func(name string) (*os.File, error) // opens the namespace of a container; os.Open, unless it is set before the first call

	host  *os.File // that namespace
	group uint32   // of the links made here
}

// New prepares for making links of the given group, which must not be 0: that is everybody's.
func New(group uint32) (*Linux, error) {
	if group == 0 {
		return nil, errors.New("cannot use link group 0")
	}
	// A thread that is in another namespace is locked to the goroutine that took it there.
	host, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	return &Linux{OpenNamespace: os.Open, host: host, group: group}, nil
}

// Close closes the descriptors. It removes nothing.
func (l *Linux) Close() error { return l.host.Close() }

// Links returns the names of the links on the host that belong to the group.
func (l *Linux) Links() ([]string, error) {
	links, err := list(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var names []string
	for _, link := range links {
		if a := link.Attrs(); a.Group == l.group {
			names = append(names, a.Name)
		}
	}
	return names, nil
}

// list repeats a listing that was disturbed by a change of what it lists.
func list[T any](f func() ([]T, error)) ([]T, error) {
	const tries = 20
	for range tries {
		if all, err := f(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return f()
}

// Route is a range of addresses that the host reaches through a link.
type Route struct {
	Prefix netip.Prefix
	Link   string
}

// Routes returns the host's IPv4 routes except default ones, and the name servers' addresses are not among them unless
// they are on a connected network.
func (l *Linux) Routes() ([]Route, error) {
	all, err := list(func() ([]netlink.Route, error) { return netlink.RouteList(nil, unix.AF_INET) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	names := map[int]string{}
	var routes []Route
	for _, r := range all {
		if r.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP.To4())
		bits, _ := r.Dst.Mask.Size()
		if !ok || bits == 0 {
			continue
		}
		if _, ok := names[r.LinkIndex]; !ok {
			names[r.LinkIndex] = linkName(r.LinkIndex)
		}
		routes = append(routes, Route{netip.PrefixFrom(addr, bits), names[r.LinkIndex]})
	}
	return routes, nil
}

func linkName(index int) string {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return ""
	}
	return link.Attrs().Name
}

// DeleteLinks deletes the links of these names, if they are of the group. The kernel waits several milliseconds for
// each link that it deletes.
func (l *Linux) DeleteLinks(names ...string) error {
	var errs []error
	for _, name := range names {
		link, err := netlink.LinkByName(name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			continue
		}
		if err == nil && link.Attrs().Group != l.group {
			continue
		}
		if err == nil {
			err = netlink.LinkDel(link)
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete link %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// onThread runs f on an operating system thread of its own, which f may take into another network namespace. f gets a
// socket that speaks for the host's. It is never the process's main thread: /proc/self would follow it.
func (l *Linux) onThread(f func(host *rtnetlink) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- l.onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- l.runAbroad(f)
	}()
	return <-done
}

// runAbroad unlocks the thread when it is back in the host's namespace; a thread that cannot go back ends with its
// goroutine.
func (l *Linux) runAbroad(f func(host *rtnetlink) error) error {
	host, err := openRtnetlink()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer host.close()
	err = f(host)
	if back := unix.Setns(int(l.host.Fd()), unix.CLONE_NEWNET); back == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// setSysctl writes a setting of the namespace that the calling thread is in. It is named with dots, or with slashes if
// a part of the name has a dot.
func setSysctl(name, value string) error {
	path := name
	if !strings.Contains(name, "/") {
		path = strings.ReplaceAll(name, ".", "/")
	}
	if path != filepath.Clean(path) || !strings.HasPrefix(path, "net/") {
		return fmt.Errorf("set sysctl %s: not a setting of the network", name)
	}
	f, err := os.OpenFile("/proc/sys/"+path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("set sysctl %s: %w", name, err)
	}
	_, err = f.WriteString(value)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("set sysctl %s=%s: %w", name, value, err)
	}
	return nil
}
