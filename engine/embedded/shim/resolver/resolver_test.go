package resolver

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

func addrs(all ...string) (out []netip.Addr) {
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

var names = protocol.Names{
	"front": {
		Hosts:   map[string][]netip.Addr{"web": addrs("10.0.1.2"), "both": addrs("10.0.1.9"), "many": addrs("10.0.1.3", "10.0.1.4", "10.0.1.5")},
		Reverse: map[netip.Addr]string{netip.MustParseAddr("10.0.1.2"): "web.front"},
	},
	"back": {Hosts: map[string][]netip.Addr{"db": addrs("10.0.2.2"), "both": addrs("10.0.2.9"), "six": addrs("fd00::1")}},
}

func openTable(t *testing.T) *Table {
	for i := range 100 {
		front := names["front"]
		if len(front.Hosts["hundred"]) < 100 {
			front.Hosts["hundred"] = append(front.Hosts["hundred"], netip.AddrFrom4([4]byte{10, 0, 3, byte(i)}))
		}
	}
	table, err := OpenTable(filepath.Join(t.TempDir(), "names"))
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Set(names); err != nil {
		t.Fatal(err)
	}
	return table
}

func TestTable(t *testing.T) {
	table := openTable(t)
	for _, tc := range []struct {
		networks []string
		name     string
		want     []netip.Addr
	}{
		{[]string{"front"}, "web", addrs("10.0.1.2")},
		{[]string{"back"}, "web", nil},
		{[]string{"front", "back"}, "both", addrs("10.0.1.9")},
		{[]string{"back", "front"}, "both", addrs("10.0.2.9")},
	} {
		if got, ok := table.Addresses(tc.networks, tc.name); !reflect.DeepEqual(got, tc.want) || ok != (tc.want != nil) {
			t.Errorf("%+v: got %v", tc, got)
		}
	}
	first := map[netip.Addr]int{}
	for range 30 {
		got, _ := table.Addresses([]string{"front"}, "many")
		first[got[0]]++
	}
	for a, n := range first {
		if n != 10 {
			t.Errorf("%s is first %d times of 30", a, n)
		}
	}
	if err := table.Set(protocol.Names{"front": {}}); err != nil {
		t.Fatal(err)
	}
	again, err := OpenTable(table.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := again.Addresses([]string{"front"}, "web"); ok {
		t.Error("a forgotten network is still there")
	}
	if _, ok := again.Addresses([]string{"back"}, "db"); !ok {
		t.Error("the other network was not stored")
	}
}

// upstreamServer answers every question with 192.0.2.1, or a long text.
func upstreamServer(t *testing.T) string {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		name := q.Question[0].Name
		header := dns.RR_Header{Name: name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 1}
		switch {
		case strings.HasPrefix(name, "missing"):
			a.Rcode = dns.RcodeNameError
		case q.Question[0].Qtype == dns.TypeTXT:
			for range 20 {
				a.Answer = append(a.Answer, &dns.TXT{Hdr: header, Txt: []string{strings.Repeat("x", 200)}})
			}
			if w.RemoteAddr().Network() == "udp" {
				a.Truncate(dns.MinMsgSize)
			}
		case q.Question[0].Qtype == dns.TypeA:
			a.Answer = []dns.RR{&dns.A{Hdr: header, A: net.IPv4(192, 0, 2, 1)}}
		}
		_ = w.WriteMsg(a)
	})
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: tcp, Handler: handler}, {PacketConn: udp, Handler: handler}} {
		go func() { _ = s.ActivateAndServe() }()
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	return tcp.Addr().String()
}

// startServer starts one in the test's own namespace.
func startServer(t *testing.T, servers ...string) string {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	free, err := net.Listen("tcp4", "127.0.0.11:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(free.Addr().String()).Port()
	free.Close()
	netns, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Close()
	s, err := Start(netns, openTable(t), &protocol.Resolver{Port: port, Servers: servers, Networks: []string{"front", "back"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return fmt.Sprintf("127.0.0.11:%d", port)
}

func TestServer(t *testing.T) {
	dead, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	server := startServer(t, dead.LocalAddr().String(), upstreamServer(t))
	for _, tc := range []struct {
		net, name string
		qtype     uint16
		rcode     int
		want      string
		truncated bool
	}{
		{"udp", "web.", dns.TypeA, dns.RcodeSuccess, "10.0.1.2", false},
		{"tcp", "WEB.", dns.TypeA, dns.RcodeSuccess, "10.0.1.2", false},
		{"udp", "web.", dns.TypeAAAA, dns.RcodeSuccess, "", false},
		{"udp", "web.", dns.TypeMX, dns.RcodeSuccess, "", false},
		{"udp", "six.", dns.TypeAAAA, dns.RcodeSuccess, "fd00::1", false},
		{"udp", "2.1.0.10.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, "web.front.", false},
		{"udp", "example.org.", dns.TypeA, dns.RcodeSuccess, "192.0.2.1", false},
		{"tcp", "example.org.", dns.TypeA, dns.RcodeSuccess, "192.0.2.1", false},
		{"udp", "missing.example.org.", dns.TypeA, dns.RcodeNameError, "", false},
		{"udp", "long.example.org.", dns.TypeTXT, dns.RcodeSuccess, "", true},
		{"tcp", "long.example.org.", dns.TypeTXT, dns.RcodeSuccess, strings.Repeat("x", 200), false},
	} {
		client := dns.Client{Net: tc.net}
		a, _, err := client.Exchange(new(dns.Msg).SetQuestion(tc.name, tc.qtype), server)
		if err != nil {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		got := ""
		if len(a.Answer) > 0 {
			got = dns.Field(a.Answer[0], 1)
		}
		if a.Rcode != tc.rcode || !tc.truncated && got != tc.want || a.Truncated != tc.truncated {
			t.Errorf("%+v: got %v", tc, a)
		}
	}
}

// TestManyAddresses asks for a name that has more addresses than an answer over UDP takes.
func TestManyAddresses(t *testing.T) {
	server := startServer(t)
	for _, tc := range []struct {
		net       string
		size      uint16
		truncated bool
	}{{"udp", 0, true}, {"udp", 4096, false}, {"tcp", 0, false}} {
		q := new(dns.Msg).SetQuestion("hundred.", dns.TypeA)
		if tc.size > 0 {
			q.SetEdns0(tc.size, false)
		}
		client := dns.Client{Net: tc.net}
		a, _, err := client.Exchange(q, server)
		if err != nil {
			t.Fatalf("%+v: %v", tc, err)
		}
		if a.Truncated != tc.truncated || !tc.truncated && len(a.Answer) != 100 || tc.truncated && len(a.Answer) < 20 {
			t.Errorf("%+v: %d answers, truncated %v", tc, len(a.Answer), a.Truncated)
		}
		if (a.IsEdns0() != nil) != (tc.size > 0) {
			t.Errorf("%+v: EDNS in the answer: %v", tc, a.IsEdns0())
		}
	}
}

// TestRubbish sends what is no question. The server goes on.
func TestRubbish(t *testing.T) {
	server := startServer(t)
	conn, err := net.Dial("udp4", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	response, _ := new(dns.Msg).SetRcode(new(dns.Msg).SetQuestion("web.", dns.TypeA), dns.RcodeSuccess).Pack()
	pointer := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1} // a name that points at itself
	for _, raw := range [][]byte{{}, {1}, pointer, make([]byte, 12), []byte(strings.Repeat("\xff", 1400)), response} {
		if _, err := conn.Write(raw); err != nil {
			t.Fatal(err)
		}
	}
	update, err := dns.Exchange(new(dns.Msg).SetUpdate("web."), server)
	if err != nil || update.Rcode != dns.RcodeNotImplemented {
		t.Errorf("update: %v, %v", update, err)
	}
	if a, err := dns.Exchange(new(dns.Msg).SetQuestion("web.", dns.TypeA), server); err != nil || len(a.Answer) != 1 {
		t.Errorf("got %v, %v", a, err)
	}
}

func TestNoServer(t *testing.T) {
	server := startServer(t)
	a, err := dns.Exchange(new(dns.Msg).SetQuestion("example.org.", dns.TypeA), server)
	if err != nil || a.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v, %v", a, err)
	}
}

func TestReverseAddr(t *testing.T) {
	for name, want := range map[string]string{
		"4.3.2.1.in-addr.arpa": "1.2.3.4", "3.2.1.in-addr.arpa": "", "x.3.2.1.in-addr.arpa": "", "1.2.3.4": "",
	} {
		got, ok := reverseAddr(name)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: got %v, %v", name, got, ok)
		}
	}
}

func FuzzParseQuestion(f *testing.F) {
	q, _ := new(dns.Msg).SetQuestion("web.", dns.TypeA).Pack()
	f.Add(q)
	table := &Table{nets: names}
	s := &Server{table: table}
	s.SetNetworks([]string{"front", "back"})
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, ok := parseQuestion(raw)
		if !ok {
			return
		}
		if answer := s.local(q, q.udpSize); len(answer) > maxUDP {
			t.Errorf("%d bytes", len(answer))
		}
		failure(q, 2)
		if q.plain {
			cut(raw, q)
			matches(raw, raw, q)
		}
	})
}

// An answer about a container must not be kept: the next one may be another.
func TestAnswersAreNotKept(t *testing.T) {
	var q dns.Msg
	q.SetQuestion("web.", dns.TypeA)
	answer, err := dns.Exchange(&q, startServer(t))
	if err != nil || len(answer.Answer) != 1 || answer.Answer[0].Header().Ttl != 0 {
		t.Errorf("%v, %v", answer, err)
	}
}
