package grammar

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// cases are texts that a check takes and texts that it refuses.
var cases = []struct {
	name  string
	check Check
	good  string // separated by spaces; "" stands for the empty text
	bad   string // separated by "|"
}{
	{"port", Port,
		`80 0:80 127.0.0.1:0:80 8080:80 8080:80/udp 127.0.0.1:8080:80 127.0.0.1::80 [::1]:80:80 ::1:80:80 80-90 8080-8090:80-90 8080-8090:80 80/TCP`,
		`|0|65536|a|80:b|80/tpc|80/|300.0.0.1:80:80|8080-8081:80-85|90-80|-80|+80|80:|:a|80-|1:2:3:4`},
	{"port number", PortNumber, `1 80 65535`, `|0|65536|80-90|-1|x`},
	{"port range", PortRange, `"" 0 80 80-90`, `0-1|90-80|a-b|80-`},
	{"expose", Expose, `80 80-90 80/udp`, `|a|80/x|70000`},
	{"protocol", Protocol, `"" tcp udp sctp TCP`, `icmp|tpc`},

	{"duration", Duration, `0 0s 30s 1m30s 500ms 1.5h 2d 1w`, `|10|10x|s|-|-5s|1 parsec`},
	{"probe duration", ProbeDuration, `0 0s 1ms 30s`, `1us|999us|1ns|10x`},
	{"variable key", VariableKey, `A a.b`, `A=|A=b`},
	{"size", Size, `0 64m 2g 1.5G 1024 100kb 10MiB 1t`, `|m|5 potatoes|-5m|1e3x`},
	{"limit", Limit, `-1 64m`, `-2|x`},
	{"cpus", CPUs, `"" 0 0.5 2 .5`, `-1|half|1,5|NaNa`},
	{"cpuset", CPUSet, `"" 0 0-3 0,2 0-1,3`, `a|0-|-1|0,,1|0 1`},
	{"natural", Natural, `0 5`, `-1`},
	{"natural or unlimited", NaturalOrUnlimited, `-1 0 5`, `-2`},
	{"between", Between(0, 100), `"" 0 100`, `-1|101|x`},
	{"mode", Mode, `"" 0444 444 0o644 7777 256`, `rw|99999|-1|0999999`},

	{"address", Address, `"" 10.0.0.1 ::1 fe80::1%eth0`, `10.0.0|10.0.0.256|x|10.0.0.0/8`},
	{"IPv4", IPv4, `"" 10.0.0.1`, `::1|x`},
	{"IPv6", IPv6, `"" ::1`, `10.0.0.1|x`},
	{"subnet", Subnet, `"" 10.0.1.0/24 fd00::/64 10.0.0.1/32`, `10.0.1.0|10.0.1.0/44|10.0.1.5/24|x/8`},
	{"MAC", MAC, `"" 02:42:ac:11:00:02 02-42-ac-11-00-02`, `02:42|02:42:ac:11:00:zz|00:00:00:00:fe:80:00:00`},
	{"extra host", ExtraHost, `a=10.0.0.1 a:10.0.0.1 a:::1 a=[::1] a=host-gateway a=10.0.0.1,::1`, `|a|a=|=10.0.0.1|a=b|a=10.0.0.1,c`},

	{"image", Image,
		`"" nginx nginx:1.29 library/nginx localhost/x localhost:5000/x:y registry.example.com:5000/a/b_c/d__e/f--g:V1.0_x ` +
			`a@sha256:` + sum + ` a:1@sha256:` + sum + ` sha256:` + sum + ` UPPER.example.com/a Host/image 127.0.0.1:5000/x`,
		`Nginx|a b|a:|a:-x|a@sha256:12|a@md5:12|a//b|/a|a/|_a|a_|a___b|a..b|a/b:c:d|http://a/b|a:` + strings.Repeat("x", 129)},
	{"platform", Platform, `"" linux linux/amd64 linux/arm64/v8 amd64 Linux/AMD64 windows/amd64 windows(10.0)/amd64 local`,
		`lunix|linux/amd46|linux/arm/v7/x|linux/|linux/arm/|x86`},
	{"container", EngineName("container"), `"" ab a.b-c_d 9x`, `a|-ab|a b|ä1|/ab`},
	{"profile", ProfileName, `a dev 1 a.b-c_d`, `|-a|a b|*`},
	{"host name", Hostname, `"" a a.b.example a_b a-b example.com.`, `a b|-a|a-|a..b|.|` + strings.Repeat("x", 64) + `|` + strings.Repeat("x.", 40)},
	{"variable", Variable, `A A= A=b A=b=c`, `|=b`},
	{"signal", Signal, `"" TERM SIGTERM sigterm 15 SIGRTMIN SIGRTMIN+3 RTMAX-1`, `SIGTREM|0|65|RTMIN+|-9`},
	{"restart", Restart, `"" no always unless-stopped on-failure on-failure:3`, `never|allways|always:3|on-failure:|on-failure:x|no:1`},
	{"pull policy", PullPolicy, `"" always never build missing if_not_present refresh daily weekly every_12h every_1d12h`, `sometimes|every_|every_5x|every_h`},
	{"condition", Condition, `"" none on-failure any`, `never`},
	{"IPC", IPC, `"" none private shareable host service:a container:a`, `service:|mine`},
	{"network mode", NetworkMode, `"" none host bridge mynet service:a container:a`, `service:|container:|servce:a`},
	{"ulimit", Ulimit, `nofile nproc`, `files|NOFILE`},
	{"capability", Capability, `ALL NET_ADMIN CAP_NET_ADMIN cap_sys_time`, `|NET|NETADMIN|NET_ADMIN SYS_TIME`},

	{"volume", Volume, `/data data:/data ./a:/b ../a:/b:ro ~/a:/b /a:/b:ro,z C:\a:/b C:/a:/b`, `|data|data:rel|ab:b:ro|:/data|ab:/b:ro:x|ab:/b:r0|ab:/b:ro,rw`},
	{"mount options", MountOptions, `ro rw,z Z,nocopy cached ro,delegated,rshared ro,ro ro,`, `r0|RO|ro,rw|z,Z|private,rslave|cached,delegated|ro,exec`},
	{"target", Target, `"" / /a C:\a`, `a|./a`},
	{"tmpfs", Tmpfs, `/run /run:size=64m`, `|run|:size=64m`},
	{"device", Device, `/dev/a /dev/a:/dev/b /dev/a:/dev/b:rwm vendor.com/gpu=all`, `|:/dev/b|/dev/a:/dev/b:x|a:b:c:d`},
	{"link", Link, `a a:b`, `|:b|a:|a:b:c`},
}

const sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestChecks(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for good := range strings.FieldsSeq(c.good) {
				if fault := c.check(strings.Trim(good, `"`)); fault != nil {
					t.Errorf("%q is refused: %s", good, fault.Problem)
				}
			}
			for bad := range strings.SplitSeq(c.bad, "|") {
				fault := c.check(bad)
				if fault == nil {
					t.Errorf("%q is taken", bad)
					continue
				}
				if fault.Rule == "" || !strings.Contains(bad, fault.Part) {
					t.Errorf("%q: rule %q, part %q", bad, fault.Rule, fault.Part)
				}
			}
		})
	}
}

// TestImageReference compares with the grammar that registries and engines use.
func TestImageReference(t *testing.T) {
	for _, c := range cases {
		if c.name != "image" {
			continue
		}
		for _, text := range append(strings.Fields(c.good), strings.Split(c.bad, "|")...) {
			if text = strings.Trim(text, `"`); text == "" {
				continue
			}
			_, err := reference.ParseAnyReference(text)
			if fault := Image(text); (fault == nil) != (err == nil) {
				t.Errorf("%q: %+v, and the reference says %v", text, fault, err)
			}
		}
	}
}

func FuzzImage(f *testing.F) {
	for _, c := range cases {
		if c.name == "image" {
			for _, text := range append(strings.Fields(c.good), strings.Split(c.bad, "|")...) {
				f.Add(text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		_, err := reference.ParseAnyReference(text)
		if fault := Image(text); (fault == nil) != (err == nil) {
			t.Errorf("%q: %+v, and the reference says %v", text, fault, err)
		}
	})
}

func TestLongValuesAreCut(t *testing.T) {
	if f := Size(strings.Repeat("é", 1000)); len(f.Problem) > 300 {
		t.Errorf("the message has %d bytes", len(f.Problem))
	}
}
