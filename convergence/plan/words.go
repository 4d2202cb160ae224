package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"stackrun.dev/stack/convergence/desired"
)

// inWords names changes as the Compose file does. No changes is nil, also when the hashes differ: then only the way in which
// they are computed has changed.
func inWords(changes []desired.Change) []string {
	var out []string
	moved := movedPorts(changes)
	for _, c := range changes {
		port, isPort := strings.CutPrefix(c.Name, publishedPort)
		switch {
		case isPort && moved[port] != "" && c.Had:
			out = append(out, "port "+portText(port)+" changed to "+portText(moved[port]))
		case isPort && moved[port] != "":
		case !exposedAnyway(c, changes):
			out = append(out, describe(c))
		}
	}
	return out
}

// The names of settings that stand for ports. A published port is exposed, too.
const (
	publishedPort = "Ports."
	exposedPort   = "ExposedPorts."
)

// movedPorts are the ports of the host that one port of the container has had and is to have, each with the other.
func movedPorts(changes []desired.Change) map[string]string {
	removed, added := make(map[string][]string), make(map[string][]string)
	for _, c := range changes {
		if port, ok := strings.CutPrefix(c.Name, publishedPort); ok {
			if c.Had {
				removed[targetOf(port)] = append(removed[targetOf(port)], port)
			} else {
				added[targetOf(port)] = append(added[targetOf(port)], port)
			}
		}
	}
	out := make(map[string]string)
	for target, was := range removed {
		if is := added[target]; len(was) == 1 && len(is) == 1 {
			out[was[0]], out[is[0]] = is[0], was[0]
		}
	}
	return out
}

// targetOf is the container's side of a published port: "80/tcp" of "127.0.0.1:8080:80/tcp".
func targetOf(port string) string { return port[strings.LastIndex(port, ":")+1:] }

// portText is the port as it is usually written.
func portText(port string) string { return strings.TrimSuffix(port, "/tcp") }

// exposedAnyway says that the change is only what follows from that of a published port.
func exposedAnyway(c desired.Change, changes []desired.Change) bool {
	target, ok := strings.CutPrefix(c.Name, exposedPort)
	return ok && slices.ContainsFunc(changes, func(other desired.Change) bool {
		port, ok := strings.CutPrefix(other.Name, publishedPort)
		return ok && targetOf(port) == target
	})
}

// noun is the word of the Compose file for the settings whose names begin with prefix, and how their values are written there.
type noun struct {
	prefix, word string
	value        func(string) string // nil: as it is
}

const ipamConfig = "IPAM.Config."

// nouns has the longest prefix first.
var nouns = []noun{
	{"Env.", "environment ", nil}, {"Cmd", "command", nil}, {"Entrypoint", "entrypoint", nil},
	{publishedPort, "port ", nil}, {exposedPort, "exposed port ", nil},
	{"Mounts.", "mount ", mountText.Replace}, {"Tmpfs.", "tmpfs ", nil}, {"Files.", "file ", nil}, {"Labels.", "label ", nil}, {"Networks.", "network ", nil},
	{"Healthcheck.Interval", "healthcheck interval", nanoseconds}, {"Healthcheck.Timeout", "healthcheck timeout", nanoseconds},
	{"Healthcheck.StartPeriod", "healthcheck start_period", nanoseconds}, {"Healthcheck.StartInterval", "healthcheck start_interval", nanoseconds},
	{"Healthcheck.Test", "healthcheck test", nil}, {"Healthcheck.Retries", "healthcheck retries", nil}, {"Healthcheck.", "healthcheck ", nil},
	{"RestartPolicy.Name", "restart", nil}, {"RestartPolicy.", "restart ", nil}, {"RestartPolicy", "restart", nil}, {"NetworkMode", "network_mode", nil},
	{"User", "user", nil}, {"WorkingDir", "working_dir", nil}, {"Hostname", "hostname", nil},
	{"Memory", "memory", bytesText}, {"MemorySwap", "memswap_limit", bytesText}, {"MemoryReservation", "mem_reservation", bytesText},
	{"ShmSize", "shm_size", bytesText}, {"NanoCPUs", "cpus", cpusText}, {"CPUShares", "cpu_shares", nil}, {"CPUPeriod", "cpu_period", nil},
	{"CPUQuota", "cpu_quota", nil}, {"CpusetCpus", "cpuset", nil}, {"CpusetMems", "cpuset of memory", nil}, {"PidsLimit", "pids_limit", nil},
	{"BlkioWeight", "blkio_config weight", nil}, {"OomScoreAdj", "oom_score_adj", nil}, {"Ulimits.", "ulimit ", nil},
	{"IPAMConfig.IPv4Address", "ipv4_address", nil}, {"IPAMConfig.IPv6Address", "ipv6_address", nil},
	{"IPAMConfig.LinkLocalIPs", "link_local_ips", nil}, {"GwPriority", "gw_priority", nil}, {"MacAddress", "mac_address", nil}, {"Links", "links", nil},
	{"LogConfig.Type", "logging driver", nil}, {"LogConfig.Config.", "logging option ", nil}, {"Sysctls.", "sysctl ", nil}, {"CapAdd", "cap_add", nil},
	{"CapDrop", "cap_drop", nil}, {"Privileged", "privileged", nil}, {"ReadonlyRootfs", "read_only", nil}, {"Init", "init", nil},
	{"IPAM.Driver", "ipam driver", nil}, {ipamConfig, "ipam config ", nil}, {"IPAM.Options.", "ipam option ", nil}, {"IPAM.", "ipam ", nil},
	{"Options.", "driver_opts ", nil}, {"DriverOpts.", "driver_opts ", nil}, {"Driver", "driver", nil},
	{"PreStart.", "pre_start ", nil}, {"PostStart.", "post_start ", nil}, {"PreStop.", "pre_stop ", nil},
	{"Internal", "internal", nil}, {"Attachable", "attachable", nil}, {"EnableIPv4", "enable_ipv4", nil}, {"EnableIPv6", "enable_ipv6", nil},
	{"StopTimeout", "stop_grace_period", func(s string) string { return s + "s" }}, {"StopSignal", "stop_signal", nil},
}

// nounOf is the setting in words, and how its values are written.
func nounOf(setting string) (word string, value func(string) string) {
	for _, n := range nouns {
		rest, ok := strings.CutPrefix(setting, n.prefix)
		switch {
		case !ok:
		case n.prefix == publishedPort || n.prefix == exposedPort:
			return n.word + portText(rest), asIs
		case n.prefix == ipamConfig:
			return n.word + strings.ToLower(strings.ReplaceAll(rest, ".", " ")), asIs
		case strings.HasSuffix(n.prefix, ".") && n.value != nil:
			return n.word + rest, n.value
		case strings.HasSuffix(n.prefix, "."):
			return n.word + rest, asIs
		case rest == "" && n.value != nil:
			return n.word, n.value
		case rest == "":
			return n.word, asIs
		}
	}
	return setting, asIs
}

var mountText = strings.NewReplacer(" ReadOnly=true", " read_only", " TmpfsOptions.SizeBytes=", " size=", " TmpfsOptions.Mode=", " mode=",
	" BindOptions.", " bind.", " VolumeOptions.", " volume.")

func asIs(s string) string { return s }

// bytesText writes a number of bytes as 64m, if that is exact.
func bytesText(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return s
	}
	unit := 0
	for unit < 3 && n%1024 == 0 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + []string{"b", "k", "m", "g"}[unit]
}

// cpusText writes a share of the processors, which engines count in billionths.
func cpusText(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(float64(n)/1e9, 'f', -1, 64)
}

func nanoseconds(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return s
	}
	return time.Duration(n).String()
}

// secretSettings are those whose values are not shown: they may be secrets, such as the password of a volume elsewhere or the token
// of who collects logs, or digests that tell nobody anything.
var secretSettings = []string{"Env.", "Files.", "PreStart.", "PostStart.", "PreStop.", "Options.", "DriverOpts.", "LogConfig.Config."}

func describe(c desired.Change) string {
	name, text := nounOf(c.Name)
	hidden := slices.ContainsFunc(secretSettings, func(p string) bool { return strings.HasPrefix(c.Name, p) })
	switch {
	case !c.Had && (c.Is == "" || hidden):
		return name + " added"
	case !c.Had:
		return name + " added: " + short(text(c.Is))
	case !c.Has:
		return name + " removed"
	case hidden:
		return name + " changed"
	}
	was, is := apart(text(c.Was), text(c.Is))
	return fmt.Sprintf("%s changed: %s → %s", name, was, is)
}

const longestValue = 60

// apart shortens two values so that what differs is seen.
func apart(was, is string) (string, string) {
	const before = 20 // bytes that are the same
	same := 0
	for same < min(len(was), len(is)) && was[same] == is[same] {
		same++
	}
	if max(len(was), len(is)) <= longestValue || same < longestValue-before {
		return short(was), short(is)
	}
	from := same - before
	for !utf8.RuneStart(was[from]) {
		from--
	}
	return "…" + short(was[from:]), "…" + short(is[from:])
}

func short(s string) string {
	s = onTerminal(strings.ReplaceAll(s, "\n", `\n`))
	if len(s) > longestValue {
		return strings.ToValidUTF8(s[:longestValue], "") + "…"
	}
	return s
}

// onTerminal is the text with everything replaced by ? that a terminal would take for an order.
func onTerminal(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// mostCauses bounds how many causes are spelled out.
const mostCauses = 5

func joinCauses(causes []string) string {
	if len(causes) > mostCauses {
		rest := len(causes) - mostCauses
		causes = append(slices.Clone(causes[:mostCauses]), fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(causes, ", ")
}
