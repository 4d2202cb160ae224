package kernel

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rtnetlink is a routing socket in the network namespace that its opening thread was in. It sends several requests
// with one system call; the kernel has carried them out and queued its answers when that call returns.
type rtnetlink struct {
	fd    int
	seq   uint32
	reply []byte // body of the last answer that is not a mere acknowledgement
}

func openRtnetlink() (*rtnetlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// Answers carry the kernel's own words and not a copy of the request.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return &rtnetlink{fd: fd}, nil
}

func (s *rtnetlink) close() { unix.Close(s.fd) }

// request is one message with what it is about, for error messages.
type request struct {
	what string
	*nl.NetlinkRequest
}

func newRequest(what string, kind, flags int) request {
	return request{what, nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)}
}

// do carries out all requests in their order. The kernel goes on after one that fails; the first failure is returned.
func (s *rtnetlink) do(requests ...request) error {
	if len(requests) == 0 {
		return nil
	}
	var datagram []byte
	first := s.seq + 1
	for _, r := range requests {
		s.seq++
		r.Seq = s.seq
		datagram = append(datagram, r.Serialize()...)
	}
	if err := unix.Sendto(s.fd, datagram, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("%s: %w", requests[0].what, os.NewSyscallError("sendto", err))
	}
	failures := make([]error, len(requests))
	if err := s.answers(first, failures); err != nil {
		return fmt.Errorf("%s: %w", requests[0].what, err)
	}
	for i, err := range failures {
		if err != nil {
			return fmt.Errorf("%s: %w", requests[i].what, err)
		}
	}
	return nil
}

// skipStatistics is RTEXT_FILTER_SKIP_STATS of the kernel's linux/rtnetlink.h.
const skipStatistics = 1 << 3

// index returns the number of the link of this name.
func (s *rtnetlink) index(name string) (int, error) {
	r := newRequest("find link "+name, unix.RTM_GETLINK, 0)
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.add(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	r.add(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics))
	s.reply = s.reply[:0]
	if err := s.do(r); err != nil {
		return 0, err
	}
	if len(s.reply) < unix.SizeofIfInfomsg {
		return 0, fmt.Errorf("%s: answer of %d bytes", r.what, len(s.reply))
	}
	return int(nl.DeserializeIfInfomsg(s.reply).Index), nil
}

// answers reads one acknowledgement per request.
func (s *rtnetlink) answers(first uint32, failures []error) error {
	buf := make([]byte, 8192)
	for open := len(failures); open > 0; {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		for msg := buf[:n]; len(msg) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(msg))
			if size < unix.SizeofNlMsghdr || size > len(msg) {
				return fmt.Errorf("netlink message of %d bytes in %d", size, len(msg))
			}
			i := binary.NativeEndian.Uint32(msg[8:]) - first
			switch kind := binary.NativeEndian.Uint16(msg[4:]); {
			case i >= uint32(len(failures)):
			case kind == unix.NLMSG_ERROR:
				failures[i] = acknowledgement(msg[:size])
				open--
			default:
				s.reply = append(s.reply[:0], msg[unix.SizeofNlMsghdr:size]...)
			}
			msg = msg[min(len(msg), (size+3)&^3):]
		}
	}
	return nil
}

// acknowledgement is nil or the error in a message of type NLMSG_ERROR, with the explanation that newer kernels add.
func acknowledgement(msg []byte) error {
	body := msg[unix.SizeofNlMsghdr:]
	if len(body) < 4 {
		return fmt.Errorf("netlink acknowledgement of %d bytes", len(msg))
	}
	code := int32(binary.NativeEndian.Uint32(body))
	if code == 0 {
		return nil
	}
	errno := unix.Errno(-code)
	if binary.NativeEndian.Uint16(msg[6:])&unix.NLM_F_ACK_TLVS == 0 || len(body) < 4+unix.SizeofNlMsghdr {
		return errno
	}
	attrs, err := nl.ParseRouteAttr(body[4+unix.SizeofNlMsghdr:])
	if err != nil {
		return errno
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.NLMSGERR_ATTR_MSG {
			return fmt.Errorf("%w (%s)", errno, nl.BytesToString(a.Value))
		}
	}
	return errno
}
