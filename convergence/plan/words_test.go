package plan

import (
	"strings"
	"testing"

	"stackrun.dev/stack/convergence/desired"
)

// A cause names the setting, and its values unless they may be secret. No value gives orders to a terminal.
func TestDescribe(t *testing.T) {
	changed := func(name, was, is string) desired.Change {
		return desired.Change{Name: name, Was: was, Is: is, Had: true, Has: true}
	}
	for _, c := range []struct {
		change desired.Change
		want   string
	}{
		{changed("Memory", "67108864", "1073741824"), "memory changed: 64m → 1g"},
		{changed("Env.PASSWORD", "geheim", "anders"), "environment PASSWORD changed"},
		{changed("DriverOpts.o", "username=u,password=geheim", "username=u,password=anders"), "driver_opts o changed"},
		{changed("Options.token", "geheim", "anders"), "driver_opts token changed"},
		{changed("LogConfig.Config.splunk-token", "geheim", "anders"), "logging option splunk-token changed"},
		{desired.Change{Name: "DriverOpts.o", Is: "password=geheim", Has: true}, "driver_opts o added"},
		{changed("Labels.a", strings.Repeat("a", 70)+"b", strings.Repeat("a", 70)+"c"), "label a changed: …" + strings.Repeat("a", 20) + "b → …" + strings.Repeat("a", 20) + "c"},
		{changed("Labels.a", strings.Repeat("a", 70), strings.Repeat("a", 70)+"c"), "label a changed: …" + strings.Repeat("a", 20) + " → …" + strings.Repeat("a", 20) + "c"},
		{changed("Labels.a", strings.Repeat("é", 40)+"é", strings.Repeat("é", 40)+"è"), "label a changed: …" + strings.Repeat("é", 10) + "é → …" + strings.Repeat("é", 10) + "è"},
		{changed("Labels.a", "b"+strings.Repeat("a", 70), "c"+strings.Repeat("a", 70)), "label a changed: b" + strings.Repeat("a", 59) + "… → c" + strings.Repeat("a", 59) + "…"},
		{changed("Labels.a", "b", "\x1b[31mc\u009b1m\nd"), `label a changed: b → ?[31mc?1m\nd`},
	} {
		if got := describe(c.change); got != c.want {
			t.Errorf("%s: got %q, want %q", c.change.Name, got, c.want)
		}
	}
}
