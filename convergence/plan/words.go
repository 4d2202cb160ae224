package plan

import (
	"fmt"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
)

// inWords names changes as the Compose file does. No changes is nil, also when the hashes differ: then only the way in which
// they are computed has changed.
func inWords(changes []desired.Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, describe(c))
	}
	return out
}

// nouns are the words of the Compose file for the names of settings, the longest prefix first.
var nouns = []struct{ prefix, noun string }{
	{"Env.", "environment "}, {"Cmd", "command"}, {"Entrypoint", "entrypoint"}, {"Ports.", "port "}, {"ExposedPorts.", "exposed port "},
	{"Mounts.", "mount "}, {"Tmpfs.", "tmpfs "}, {"Files.", "file "}, {"Labels.", "label "}, {"Networks.", "network "},
	{"Healthcheck.", "healthcheck "}, {"RestartPolicy.Name", "restart"}, {"RestartPolicy.", "restart "}, {"NetworkMode", "network_mode"},
	{"User", "user"}, {"WorkingDir", "working_dir"}, {"Hostname", "hostname"}, {"Memory", "memory"}, {"NanoCPUs", "cpus (nano)"},
	{"LogConfig.", "logging "}, {"Sysctls.", "sysctl "}, {"CapAdd", "cap_add"}, {"CapDrop", "cap_drop"}, {"Privileged", "privileged"},
	{"ReadonlyRootfs", "read_only"}, {"IPAM.", "ipam "}, {"Options.", "driver_opts "}, {"DriverOpts.", "driver_opts "}, {"Driver", "driver"},
	{"PreStart.", "pre_start "}, {"PostStart.", "post_start "}, {"PreStop.", "pre_stop "},
	{"Internal", "internal"}, {"StopTimeout", "stop_grace_period"}, {"StopSignal", "stop_signal"},
}

func noun(setting string) string {
	for _, n := range nouns {
		rest, ok := strings.CutPrefix(setting, n.prefix)
		switch {
		case !ok:
		case strings.HasSuffix(n.prefix, "."):
			return n.noun + rest
		case rest == "":
			return n.noun
		}
	}
	return setting
}

// secretSettings are those whose values are not shown: they may be secrets, or digests that tell nobody anything.
var secretSettings = []string{"Env.", "Files.", "PreStart.", "PostStart.", "PreStop."}

func describe(c desired.Change) string {
	name := noun(c.Name)
	hidden := slices.ContainsFunc(secretSettings, func(p string) bool { return strings.HasPrefix(c.Name, p) })
	switch {
	case !c.Had && (c.Is == "" || hidden):
		return name + " added"
	case !c.Had:
		return name + " added: " + short(c.Is)
	case !c.Has:
		return name + " removed"
	case hidden:
		return name + " changed"
	}
	return fmt.Sprintf("%s changed: %s → %s", name, short(c.Was), short(c.Is))
}

const longestValue = 60

func short(s string) string {
	s = strings.ReplaceAll(s, "\n", `\n`)
	if len(s) > longestValue {
		return strings.ToValidUTF8(s[:longestValue], "") + "…"
	}
	return s
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
