package nft_test

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/network/nft"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// isolate moves the test into a network namespace of its own, which ends with it.
func isolate(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test's goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

// list is the rule set of the test's namespace in the words of the nft program.
func list(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("nft", "--stateless", "list", "ruleset").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs the nft program")
	}
	if err != nil {
		t.Fatalf("nft list ruleset: %v: %s", err, out)
	}
	return elementLists.ReplaceAllStringFunc(string(out), func(list string) string {
		elements := strings.Split(strings.Trim(list[len("elements = "):], "{ }"), ",")
		for i := range elements {
			elements[i] = strings.TrimSpace(elements[i])
		}
		slices.Sort(elements)
		return "elements = { " + strings.Join(elements, ", ") + " }"
	})
}

// elementLists match what the kernel returns in any order.
var elementLists = regexp.MustCompile(`elements = \{[^}]*\}`)

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the rules differ from %s (rewrite it with -update):\n%s", name, got)
	}
}

var (
	front  = nft.Network{Bridge: "st1111111111", Subnet: netip.MustParsePrefix("172.18.0.0/16"), Masquerade: true}
	back   = nft.Network{Bridge: "st2222222222", Subnet: netip.MustParsePrefix("172.19.0.0/16"), Internal: true}
	plain  = nft.Network{Bridge: "st3333333333", Subnet: netip.MustParsePrefix("10.0.0.128/25")}
	web    = nft.Port{Host: 8080, Proto: unix.IPPROTO_TCP, To: netip.MustParseAddrPort("172.18.0.2:80")}
	names  = nft.Port{HostIP: netip.MustParseAddr("127.0.0.1"), Host: 5353, Proto: unix.IPPROTO_UDP, To: netip.MustParseAddrPort("172.18.0.3:53")}
	secure = nft.Port{HostIP: netip.IPv4Unspecified(), Host: 443, Proto: unix.IPPROTO_TCP, To: netip.MustParseAddrPort("172.18.0.2:8443")}
)

func TestRules(t *testing.T) {
	isolate(t)
	table := nft.New("stack_0123abcd")
	if err := table.Replace(nft.Elements{Networks: []nft.Network{front}, Ports: []nft.Port{web}}); err != nil {
		t.Fatal(err)
	}
	change := nft.Change{Add: nft.Elements{Networks: []nft.Network{back, plain}, Ports: []nft.Port{names, secure}}}
	if err := table.Apply(change); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/rules.golden", list(t))
}

func TestApplyTakesOutWhatItPutIn(t *testing.T) {
	isolate(t)
	table := nft.New("stack_0123abcd")
	if err := table.Replace(nft.Elements{}); err != nil {
		t.Fatal(err)
	}
	empty := list(t)
	some := nft.Elements{Networks: []nft.Network{front, back}, Ports: []nft.Port{web, names}}
	if err := table.Apply(nft.Change{Add: some}); err != nil {
		t.Fatal(err)
	}
	if list(t) == empty {
		t.Fatal("adding elements changed nothing")
	}
	if err := table.Apply(nft.Change{Remove: some}); err != nil {
		t.Fatal(err)
	}
	if got := list(t); got != empty {
		t.Errorf("after removing everything:\n%s", got)
	}
}

func TestApplyNoticesForeignChanges(t *testing.T) {
	isolate(t)
	table := nft.New("stack_0123abcd")
	if err := table.Apply(nft.Change{Add: nft.Elements{Ports: []nft.Port{web}}}); !errors.Is(err, nft.ErrOutOfStep) {
		t.Errorf("without a table: %v", err)
	}
	if err := table.Replace(nft.Elements{Ports: []nft.Port{web}}); err != nil {
		t.Fatal(err)
	}
	before := list(t)
	both := nft.Elements{Ports: []nft.Port{web, secure}}
	if err := table.Apply(nft.Change{Remove: both}); !errors.Is(err, nft.ErrOutOfStep) {
		t.Errorf("without one of the elements: %v", err)
	}
	if got := list(t); got != before {
		t.Errorf("a refused change left its traces:\n%s", got)
	}
}

func TestManyElements(t *testing.T) {
	isolate(t)
	var all nft.Elements
	for p := range 2000 {
		all.Ports = append(all.Ports, nft.Port{Host: uint16(p + 1), Proto: unix.IPPROTO_TCP, To: web.To})
	}
	table := nft.New("stack_0123abcd")
	if err := table.Replace(all); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(list(t), "172.18.0.2 . 80"); got != 2000 {
		t.Errorf("%d ports in the kernel", got)
	}
}

func TestDelete(t *testing.T) {
	isolate(t)
	table := nft.New("stack_0123abcd")
	for range 2 {
		if err := table.Delete(); err != nil {
			t.Errorf("of what is not there: %v", err)
		}
		if err := table.Replace(nft.Elements{}); err != nil {
			t.Fatal(err)
		}
		if there, err := table.Exists(); !there || err != nil {
			t.Errorf("there is no table: %v", err)
		}
		if err := table.Delete(); err != nil {
			t.Fatal(err)
		}
		if got := list(t); got != "" {
			t.Errorf("something is left:\n%s", got)
		}
	}
}

func TestRedirectResolver(t *testing.T) {
	isolate(t)
	if err := nft.RedirectResolver(40053); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/resolver.golden", list(t))
}
