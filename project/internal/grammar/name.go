package grammar

import (
	"fmt"
	"strings"
)

// EngineName checks a name in the engine: that of a container, a network or a volume.
func EngineName(of string) Check {
	return optional(func(text string) *Fault {
		if len(text) < 2 || !alphanumeric(rune(text[0])) || !only(text, "_.-") {
			fix := "write at least two letters, digits, dots, hyphens or underscores, beginning with a letter or digit"
			return &Fault{Rule: "invalid-name", Problem: quote(text) + " cannot be the name of a " + of, Fix: fix}
		}
		return nil
	})
}

// ProfileName checks the name of a profile.
func ProfileName(text string) *Fault {
	if text == "" || !alphanumeric(rune(text[0])) || !only(text, "_.-") {
		return form("name", text, "the name of a profile", "write letters, digits, dots, hyphens or underscores, beginning with a letter or digit")
	}
	return nil
}

// longestHostname is Linux's limit.
const longestHostname = 64

// Hostname checks the name of a machine, with or without a domain.
var Hostname = optional(func(text string) *Fault {
	fault := form("hostname", text, "a host name", "write letters, digits and hyphens, with dots between parts of up to 63")
	if strings.TrimSuffix(text, ".") == "" || !only(text, "-._") {
		return fault
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(text, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fault
		}
	}
	if len(text) > longestHostname {
		return form("hostname", text, fmt.Sprintf("a host name: it has %d characters and may have %d", len(text), longestHostname), "")
	}
	return nil
})

// Variable checks an entry of a list of variables: NAME=value, or NAME alone.
func Variable(text string) *Fault {
	name, _, _ := strings.Cut(text, "=")
	return VariableName(name)
}

// VariableName checks the name of an environment variable, which may be nearly anything.
func VariableName(text string) *Fault {
	if text == "" {
		return &Fault{Rule: "invalid-variable", Problem: "the variable has no name", Fix: "write NAME=value"}
	}
	return nil
}

// VariableKey checks the name of a variable that is the key of a mapping. One with "=" is the name of another variable.
func VariableKey(text string) *Fault {
	if name, value, ok := strings.Cut(text, "="); ok && name != "" {
		return &Fault{
			Mild: true, Rule: "invalid-variable", Problem: "this sets the variable " + quote(name) + " to a text that begins with " + quote(value+"="),
			Fix: "write NAME: value",
		}
	}
	return nil
}

// Sysctl checks NAME=value. Engines take a name alone and set nothing.
func Sysctl(text string) *Fault {
	if strings.Contains(text, "=") {
		return nil
	}
	return &Fault{Mild: true, Rule: "no-effect", Problem: "the sysctl " + quote(text) + " has no value and is not set", Fix: "write " + text + "=VALUE"}
}

// signals without SIG. Real-time ones are computed.
const signals = " ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU " +
	"URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX "

// Signal checks SIGTERM, TERM, 15, SIGRTMIN+3.
var Signal = optional(func(text string) *Fault {
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if strings.Contains(signals, " "+name+" ") {
		return nil
	}
	for _, prefix := range []string{"", "RTMIN+", "RTMAX-"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && digits(rest) && Between(1, 64)(rest) == nil {
			return nil
		}
	}
	return form("signal", text, "a signal", "write its name or number, for example SIGTERM or 15")
})

// Restart checks when a container is started again.
var Restart = optional(func(text string) *Fault {
	policy, retries, limited := strings.Cut(text, ":")
	switch policy {
	case "no", "always", "unless-stopped":
		if !limited {
			return nil
		}
	case "on-failure":
		if !limited || digits(retries) {
			return nil
		}
	}
	return form("restart", text, "a restart policy", `write "no", always, unless-stopped, on-failure or on-failure:3`)
})

// PullPolicy checks when an image is pulled.
var PullPolicy = optional(func(text string) *Fault {
	switch text {
	case "always", "never", "build", "missing", "if_not_present", "refresh", "daily", "weekly":
		return nil
	}
	if every, ok := strings.CutPrefix(text, "every_"); ok && intervals(every) {
		return nil
	}
	return form("pull-policy", text, "a pull policy", "write always, missing, never, build, daily, weekly or every_12h")
})

// intervals is one or more of 3w, 2d, 12h, 30m, 10s.
func intervals(text string) bool {
	if text == "" {
		return false
	}
	for text != "" {
		rest := strings.TrimLeftFunc(text, digit)
		if rest == text || rest == "" || !strings.Contains("wdhms", rest[:1]) {
			return false
		}
		text = rest[1:]
	}
	return true
}

// Words with a fixed list.
var (
	Condition     = oneOf("restart", "a condition to restart on", []string{"none", "on-failure", "any", "no", "always", "unless-stopped"})
	DeployMode    = oneOf("value", "a mode of deployment", []string{"replicated", "global", "replicated-job", "global-job"})
	EndpointMode  = oneOf("value", "an endpoint mode", []string{"vip", "dnsrr"})
	FailureAction = oneOf("value", "an action on failure", []string{"continue", "pause", "rollback"})
	PortMode      = oneOf("value", "a mode of publishing", []string{"host", "ingress"})
	Isolation     = oneOf("value", "an isolation", []string{"default", "process", "hyperv"})
	IPC           = oneOf("namespace", "an IPC namespace", []string{"none", "private", "shareable", "host"}, "service:", "container:")
	PID           = oneOf("namespace", "a PID namespace", []string{"host"}, "service:", "container:")
	UTS           = oneOf("namespace", "a UTS namespace", []string{"host"})
	Propagation   = oneOf("value", "a propagation", []string{"private", "rprivate", "shared", "rshared", "slave", "rslave"})
	Consistency   = oneOf("value", "a consistency", []string{"consistent", "cached", "delegated", "default"})
	EnvFormat     = oneOf("value", "a format of env files", []string{"raw"})
)

// NetworkMode checks how a container is on networks: a word, the name of a network, or another's namespace.
var NetworkMode = optional(func(text string) *Fault {
	kind, name, ok := strings.Cut(text, ":")
	if !ok || (kind == "service" || kind == "container") && name != "" {
		return nil
	}
	return form("namespace", text, "a network mode", "write none, host, bridge, service:NAME or container:NAME")
})

// Ulimit checks the name of a limit; it is written in lower case, without RLIMIT_.
func Ulimit(text string) *Fault {
	const names = " as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack "
	if strings.Contains(names, " "+text+" ") {
		return nil
	}
	return form("ulimit", text, "a limit", "write one of"+strings.ReplaceAll(strings.TrimRight(names, " "), " ", ", ")[1:])
}

const capabilities = " ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER " +
	"FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST " +
	"NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT " +
	"SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM "

// Capability checks the name of one of Linux's capabilities, with or without CAP_.
func Capability(text string) *Fault {
	name := strings.TrimPrefix(strings.ToUpper(text), "CAP_")
	if strings.Contains(capabilities, " "+name+" ") {
		return nil
	}
	return form("capability", text, "a capability of Linux", "write a name as in capabilities(7), for example NET_ADMIN, or ALL")
}
