package resolver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// timeout is how long one server has for an answer.
const timeout = 3 * time.Second

// upstream passes questions on, as they are but for their number.
type upstream struct{ servers []string }

func parseServers(servers []string) ([]string, error) {
	var out []string
	for _, s := range servers {
		if addr, err := netip.ParseAddr(s); err == nil {
			out = append(out, net.JoinHostPort(addr.String(), "53"))
			continue
		}
		if _, err := netip.ParseAddrPort(s); err != nil {
			return nil, fmt.Errorf("%q is not the address of a name server", s)
		}
		out = append(out, s)
	}
	return out, nil
}

var errNoServer = errors.New("no name server answers")

// ask tries one server after the other until one has an answer.
func (u *upstream) ask(raw []byte, q question, network string) ([]byte, error) {
	var last []byte
	for _, server := range u.servers {
		answer, err := exchange(raw, q, network, server)
		if err != nil {
			continue
		}
		last = answer
		switch dnsmessage.RCode(answer[3] & 0xf) {
		case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused:
		default:
			return answer, nil
		}
	}
	if last == nil {
		return nil, errNoServer
	}
	return last, nil
}

// exchange asks one server. The number is not the asker's: a container must not choose what the host's servers are asked
// with.
func exchange(raw []byte, q question, network, server string) ([]byte, error) {
	conn, err := net.DialTimeout(network, server, timeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	asked := bytes.Clone(raw)
	binary.BigEndian.PutUint16(asked, uint16(rand.Uint32()))
	var answer []byte
	if network == "tcp" {
		if err = writeFrame(conn, asked); err == nil {
			answer, err = readFrame(conn)
		}
		if err == nil && !matches(asked, answer, q) {
			err = errors.New("the answer is to another question")
		}
	} else if _, err = conn.Write(asked); err == nil {
		answer, err = readMatching(conn, asked, q)
	}
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(answer, q.id)
	return answer, nil
}

// readMatching passes over what is no answer to the question: somebody may be guessing.
func readMatching(conn net.Conn, asked []byte, q question) ([]byte, error) {
	buf := make([]byte, maxUDP)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if matches(asked, buf[:n], q) {
			return buf[:n], nil
		}
	}
}

// matches tells whether the answer has the question's number and text.
func matches(asked, answer []byte, q question) bool {
	return len(answer) >= q.end && answer[2]&0x80 != 0 &&
		bytes.Equal(asked[:2], answer[:2]) && bytes.EqualFold(asked[headerSize:q.end], answer[headerSize:q.end])
}
