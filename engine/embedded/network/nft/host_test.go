package nft_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"stackrun.dev/stack/engine/embedded/network/nft"
)

// iptables runs it in the test's namespace and returns what it prints.
func iptables(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("iptables", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) || strings.Contains(string(out), "legacy") {
		t.Skip("needs the iptables program of nftables")
	}
	if err != nil {
		t.Fatalf("iptables %v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestAdmit(t *testing.T) {
	isolate(t)
	if err := nft.New("stack_0123abcd").Admit([]string{"st1"}, nil); err != nil {
		t.Fatalf("without iptables: %v", err)
	}
	if got := list(t); got != "" {
		t.Errorf("without iptables:\n%s", got)
	}
	iptables(t, "-A", "FORWARD", "-i", "tun0", "-j", "DROP")
	if err := nft.New("stack_0123abcd").Admit([]string{"st1"}, nil); err != nil {
		t.Fatal(err)
	}
	const open = "-P FORWARD ACCEPT\n-A FORWARD -i tun0 -j DROP\n"
	if got := iptables(t, "-S", "FORWARD"); got != open {
		t.Errorf("a chain that lets everything pass became\n%s", got)
	}
	iptables(t, "-P", "FORWARD", "DROP")
	for range 2 {
		if err := nft.New("stack_0123abcd").Admit([]string{"st1", "st2"}, []string{"st3"}); err != nil {
			t.Fatal(err)
		}
		want := "-P FORWARD DROP\n-A FORWARD -i tun0 -j DROP\n-A FORWARD -i st1 -j ACCEPT\n-A FORWARD -o st1 -j ACCEPT\n" +
			"-A FORWARD -i st2 -j ACCEPT\n-A FORWARD -o st2 -j ACCEPT\n"
		if got := iptables(t, "-S", "FORWARD"); got != want {
			t.Errorf("got\n%s", got)
		}
	}
	iptables(t, "-D", "FORWARD", "-o", "st2", "-j", "ACCEPT") // it knows our rules as its own
	if err := nft.New("stack_0123abcd").Admit(nil, []string{"st1", "st2"}); err != nil {
		t.Fatal(err)
	}
	if got := iptables(t, "-S", "FORWARD"); got != strings.Replace(open, "FORWARD ACCEPT", "FORWARD DROP", 1) {
		t.Errorf("at the end:\n%s", got)
	}
}
