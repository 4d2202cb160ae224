package kernel

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/network/nft"
)

// Interface is one end of a wire inside a namespace, and the other end as a port of a bridge.
type Interface struct {
	Name     string // inside
	Host     string // the port's, on the host
	Bridge   string
	MAC      net.HardwareAddr
	Address  netip.Prefix      // with the size of the network
	MTU      int               // bytes; 0 for the kernel's default
	Isolated bool              // does not reach other isolated ports of the bridge
	Hairpin  bool              // gets back what it sends to its own address by way of the host
	Sysctls  map[string]string // written when the interface is there and before it is up; names with slashes
}

// Namespace is what a new network namespace is to have.
type Namespace struct {
	Interfaces []Interface
	Gateway    netip.Addr // the zero value for none
	Resolver   uint16     // the port to which 127.0.0.11:53 is redirected, 0 for no redirection
	Sysctls    map[string]string
}

// NewNamespace makes a network namespace and everything in it. On an error nothing of it is left.
func (l *Linux) NewNamespace(n Namespace) (file *os.File, err error) {
	err = l.onThread(func(host *rtnetlink) error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		var err error
		if file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return l.furnish(host, file, n)
	})
	if err != nil && file != nil {
		err = errors.Join(err, file.Close())
		file = nil
	}
	return file, err
}

// furnish sets up the calling thread's namespace.
func (l *Linux) furnish(host *rtnetlink, netns *os.File, n Namespace) error {
	err := setSysctl("net/ipv6/conf/default/disable_ipv6", "1")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for name, value := range n.Sysctls {
		if err := setSysctl(name, value); err != nil {
			return err
		}
	}
	if err := l.addPorts(host, netns, n.Interfaces); err != nil {
		return err
	}
	inside, err := openRtnetlink()
	if err != nil {
		return err
	}
	defer inside.close()
	requests, err := arrangeInterfaces(inside, n.Interfaces)
	if err != nil {
		return err
	}
	requests = append(requests, setUp("lo"))
	if n.Gateway.IsValid() {
		requests = append(requests, setGateway(n.Gateway))
	}
	if err := inside.do(requests...); err != nil {
		return err
	}
	if n.Resolver != 0 {
		return nft.RedirectResolver(n.Resolver)
	}
	return nil
}

// addPorts makes the wires, from the host's side.
func (l *Linux) addPorts(host *rtnetlink, netns *os.File, interfaces []Interface) error {
	var requests []request
	for _, i := range interfaces {
		bridge, err := host.index(i.Bridge)
		if err != nil {
			return err
		}
		requests = append(requests, newPort(i, bridge, l.group, int(netns.Fd())), tunePort(i))
	}
	return host.do(requests...)
}

// arrangeInterfaces returns what gives the interfaces of the calling thread's namespace their addresses.
func arrangeInterfaces(inside *rtnetlink, interfaces []Interface) ([]request, error) {
	var requests []request
	for _, i := range interfaces {
		index, err := inside.index(i.Name)
		if err != nil {
			return nil, err
		}
		for name, value := range i.Sysctls {
			if err := setSysctl(strings.ReplaceAll(name, "IFNAME", i.Name), value); err != nil {
				return nil, err
			}
		}
		requests = append(requests,
			// Tell the neighbours when it comes up: they may remember who had the address before.
			setIPv4(i.Name, confARPNotify, 1),
			newAddress(index, i.Address),
			setUp(i.Name))
	}
	return requests, nil
}

// Plug adds an interface to the namespace. On an error the interface is not there.
func (l *Linux) Plug(name string, i Interface) error {
	err := l.inNamespace(name, func(host *rtnetlink, netns *os.File) error {
		if err := l.addPorts(host, netns, []Interface{i}); err != nil {
			return err
		}
		inside, err := openRtnetlink()
		if err != nil {
			return err
		}
		defer inside.close()
		requests, err := arrangeInterfaces(inside, []Interface{i})
		if err != nil {
			return err
		}
		return inside.do(requests...)
	})
	if err != nil {
		return errors.Join(err, l.DeleteLinks(i.Host))
	}
	return nil
}

// SetGateway makes gateway the default route of the namespace; the zero value removes the default route.
func (l *Linux) SetGateway(name string, gateway netip.Addr) error {
	return l.inNamespace(name, func(*rtnetlink, *os.File) error {
		inside, err := openRtnetlink()
		if err != nil {
			return err
		}
		defer inside.close()
		if gateway.IsValid() {
			return inside.do(setGateway(gateway))
		}
		if err := inside.do(deleteGateway()); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
		return nil
	})
}

// inNamespace runs f on a thread that is in the namespace, with a socket that stayed outside.
func (l *Linux) inNamespace(name string, f func(host *rtnetlink, netns *os.File) error) error {
	netns, err := l.OpenNamespace(name)
	if err != nil {
		return err
	}
	defer netns.Close()
	return l.onThread(func(host *rtnetlink) error {
		if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("setns", err)
		}
		return f(host, netns)
	})
}
