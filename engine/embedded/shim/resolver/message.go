package resolver

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	ttl        = 0    // seconds that an answer about a container may be kept: not at all, RFC 1035. They come and go
	minUDP     = 512  // bytes that every asker takes over UDP, RFC 1035
	maxUDP     = 4096 // the most that is sent over UDP to an asker who says that it takes more, RFC 6891
	maxFrame   = 1<<16 - 1
	headerSize = 12
)

// question is what a message asks.
type question struct {
	dnsmessage.Question
	id      uint16
	header  dnsmessage.Header
	plain   bool // one question of the usual kind
	edns    bool // the asker speaks EDNS
	udpSize int  // bytes that the asker takes over UDP
	end     int  // where the question ends in the message
}

// parseQuestion returns false for what deserves no answer.
func parseQuestion(raw []byte) (q question, ok bool) {
	var p dnsmessage.Parser
	header, err := p.Start(raw)
	if err != nil || header.Response {
		return q, false
	}
	q.id, q.header, q.udpSize = header.ID, header, minUDP
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 || header.OpCode != 0 {
		return q, err == nil
	}
	q.Question, q.plain = questions[0], true
	q.end = headerSize + len(q.Name.String()) + 1 + 4
	if q.Name.String() == "." {
		q.end--
	}
	if q.end > len(raw) { // the name is compressed, where there is nothing to point at
		return q, false
	}
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return q, true
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return q, true
		}
		if h.Type == dnsmessage.TypeOPT {
			q.edns = true
			q.udpSize = min(max(int(h.Class), minUDP), maxUDP)
		}
		if p.SkipAdditional() != nil {
			return q, true
		}
	}
}

// local answers from the table: nil if the name is not in it. A known name without a record of the type asked for has
// no records.
func (s *Server) local(q question, size int) []byte {
	if !q.plain || q.Class != dnsmessage.ClassINET {
		return nil
	}
	networks := s.Networks()
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	if q.Type == dnsmessage.TypePTR {
		addr, ok := reverseAddr(name)
		if !ok {
			return nil
		}
		host, ok := s.table.Name(networks, addr)
		if !ok {
			return nil
		}
		return reply(q, size, func(b *dnsmessage.Builder, h dnsmessage.ResourceHeader, _ int) error {
			ptr, err := dnsmessage.NewName(host + ".")
			if err != nil {
				return err
			}
			return b.PTRResource(h, dnsmessage.PTRResource{PTR: ptr})
		}, 1)
	}
	addrs, known := s.table.Addresses(networks, name)
	if !known {
		return nil
	}
	addrs = ofType(q.Type, addrs)
	return reply(q, size, func(b *dnsmessage.Builder, h dnsmessage.ResourceHeader, i int) error {
		if addrs[i].Is4() {
			return b.AResource(h, dnsmessage.AResource{A: addrs[i].As4()})
		}
		return b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: addrs[i].As16()})
	}, len(addrs))
}

func ofType(t dnsmessage.Type, addrs []netip.Addr) (out []netip.Addr) {
	for _, a := range addrs {
		if t == dnsmessage.TypeA && a.Is4() || t == dnsmessage.TypeAAAA && a.Is6() {
			out = append(out, a)
		}
	}
	return out
}

// reply builds an answer of n records. If they do not fit, as many as do are in it, and it says so.
func reply(q question, size int, add func(*dnsmessage.Builder, dnsmessage.ResourceHeader, int) error, n int) []byte {
	for fit := n; ; fit-- {
		header := answerHeader(q, dnsmessage.RCodeSuccess)
		header.Truncated = fit < n
		answer, err := build(q, header, func(b *dnsmessage.Builder) error {
			h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: ttl}
			for i := range fit {
				if err := add(b, h, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return failure(q, dnsmessage.RCodeServerFailure)
		}
		if len(answer) <= size || fit == 0 {
			return answer
		}
	}
}

func answerHeader(q question, code dnsmessage.RCode) dnsmessage.Header {
	return dnsmessage.Header{
		ID: q.id, Response: true, OpCode: q.header.OpCode, RCode: code,
		RecursionDesired: q.header.RecursionDesired, RecursionAvailable: true,
	}
}

func build(q question, header dnsmessage.Header, answers func(*dnsmessage.Builder) error) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, minUDP), header)
	b.EnableCompression()
	if !q.plain {
		return b.Finish()
	}
	if err := errors.Join(b.StartQuestions(), b.Question(q.Question), b.StartAnswers(), answers(&b)); err != nil {
		return nil, err
	}
	if q.edns {
		var h dnsmessage.ResourceHeader
		err := errors.Join(
			b.StartAdditionals(), h.SetEDNS0(maxUDP, dnsmessage.RCodeSuccess, false), b.OPTResource(h, dnsmessage.OPTResource{}),
		)
		if err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// failure is an answer without records.
func failure(q question, code dnsmessage.RCode) []byte {
	answer, err := build(q, answerHeader(q, code), func(*dnsmessage.Builder) error { return nil })
	if err != nil {
		return nil
	}
	return answer
}

// cut leaves of an answer that is too long what makes the asker come back over TCP.
func cut(answer []byte, q question) []byte {
	const truncated = 1 << 1 // in the third byte, RFC 1035 section 4.1.1
	short := append([]byte(nil), answer[:min(q.end, len(answer))]...)
	short[2] |= truncated
	for i := 6; i < headerSize; i++ { // counts of the sections after the question
		short[i] = 0
	}
	return short
}

// reverseAddr reads an address out of a name below in-addr.arpa.
func reverseAddr(name string) (netip.Addr, bool) {
	rest, ok := strings.CutSuffix(name, ".in-addr.arpa")
	labels := strings.Split(rest, ".")
	if !ok || len(labels) != 4 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
	return addr, err == nil
}

// readFrame reads a message as TCP carries it, after its length.
func readFrame(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, raw)
	return raw, err
}

func writeFrame(w io.Writer, raw []byte) error {
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(raw)), uint16(len(raw)))
	_, err := w.Write(append(frame, raw...))
	return err
}
