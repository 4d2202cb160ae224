package desired

import "strings"

// Support says what is done with an attribute of the Compose model.
type Support struct {
	Attribute string // "services.<name>.ports[].target", as in the specification; "<name>" and "[]" stand for any
	State     State
	Reason    string // why it has no effect or is refused; of what is done, what an engine may not have of it
}

// State is one of the three things that can happen to an attribute.
type State string

// The states.
const (
	Done    State = "done"
	Read    State = "read"    // kept in the model and warned about: it has its meaning on a cluster
	Refused State = "refused" // an error
)

// Table lists every attribute that is known, sorted. What is not in it is refused.
func Table() []Support {
	out := make([]Support, 0, len(table))
	for _, attribute := range sortedKeys(table) {
		s := table[attribute]
		s.Attribute = attribute
		out = append(out, s)
	}
	return out
}

// table is keyed by attribute. An attribute covers what is below it unless that is listed itself.
var (
	table       = makeTable()
	listedBelow = parents(table)
)

// parents are the attributes below which others are listed.
func parents(table map[string]Support) map[string]bool {
	out := make(map[string]bool)
	for name := range table {
		for i, c := range name {
			if c == '.' || c == '[' {
				out[name[:i]] = true
			}
		}
		if i := strings.LastIndex(name, "[]."); i >= 0 {
			out[name[:i+2]] = true
		}
	}
	return out
}

const (
	swarmOnly    = "it takes effect on a cluster only"
	storeOnly    = "it belongs to the store of a cluster"
	windowsOnly  = "it exists on Windows only"
	noAttest     = "an engine's image store keeps no attestations"
	inDockerfile = "the Dockerfile decides who may read it: RUN --mount=type=secret,uid=…,mode=…"
	unknownHere  = "this version of stack does not know it"
)

func makeTable() map[string]Support {
	t := make(map[string]Support)
	for _, name := range doneServices {
		t["services.<name>."+name] = Support{State: Done}
	}
	for _, name := range doneByOperations {
		t["services.<name>."+name] = Support{State: Done}
	}
	for _, name := range doneElsewhere {
		t[name] = Support{State: Done}
	}
	for name, remark := range remarks {
		t[name] = Support{State: Done, Reason: remark}
	}
	for name, reason := range readServices {
		t["services.<name>."+name] = Support{State: Read, Reason: reason}
	}
	for name, reason := range readElsewhere {
		t[name] = Support{State: Read, Reason: reason}
	}
	for name, reason := range refusedAttributes {
		t[name] = Support{State: Refused, Reason: reason}
	}
	addHookRows(t)
	return t
}

// doneServices are carried out. attach and extends are so by others: the log view and the loader.
var doneServices = []string{
	"annotations", "attach", "blkio_config", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "command", "container_name",
	"configs[].source", "configs[].target", "configs[].uid", "configs[].gid", "configs[].mode",
	"cpu_count", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset",
	"depends_on", "deploy.replicas", "deploy.resources.limits.cpus", "deploy.resources.limits.memory", "deploy.resources.limits.pids",
	"deploy.resources.reservations.memory", "deploy.resources.reservations.devices",
	"deploy.restart_policy.condition", "deploy.restart_policy.max_attempts", "deploy.mode",
	"device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname", "entrypoint", "env_file",
	"environment", "expose", "extends", "external_links", "extra_hosts", "gpus", "group_add", "healthcheck", "hostname", "image",
	"init", "ipc", "label_file", "labels", "links", "logging", "mac_address", "mem_limit", "mem_reservation", "mem_swappiness",
	"memswap_limit", "network_mode", "networks", "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform",
	"ports[].target", "ports[].published", "ports[].host_ip", "ports[].protocol", "ports[].name", "ports[].mode", "ports[].app_protocol",
	"privileged", "profiles", "pull_policy", "read_only", "restart", "runtime", "scale",
	"secrets[].source", "secrets[].target", "secrets[].uid", "secrets[].gid", "secrets[].mode",
	"security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "sysctls", "tmpfs", "tty", "ulimits",
	"user", "userns_mode", "uts", "volumes", "volumes_from", "working_dir", "name",
	"build.context", "build.dockerfile", "build.dockerfile_inline", "build.args", "build.labels", "build.target", "build.tags",
	"build.additional_contexts", "build.cache_to", "build.entitlements", "build.no_cache_filter", "build.privileged", "build.secrets[].source", "build.secrets[].target", "build.ssh",
	"build.no_cache", "build.platforms", "build.pull", "build.network", "build.extra_hosts", "build.shm_size", "build.ulimits", "build.cache_from",
}

// doneByOperations are carried out by operations of their own, and not by what a container is made of; develop is by whoever
// watches files.
var doneByOperations = []string{
	"deploy.rollback_config", "deploy.update_config", "develop", "models", "post_start", "pre_start", "pre_stop", "provider", "pull_refresh_after", "use_api_socket",
}

var doneElsewhere = []string{
	"networks.<name>", "volumes.<name>", "secrets.<name>", "configs.<name>", "models.<name>",
	"include", "name", "version", // by the loader
}

var readServices = map[string]string{
	"build.secrets[].uid":                             inDockerfile,
	"build.secrets[].gid":                             inDockerfile,
	"build.secrets[].mode":                            inDockerfile,
	"deploy.endpoint_mode":                            swarmOnly,
	"deploy.labels":                                   "they label the service of a cluster, not its containers; use labels for those",
	"deploy.placement":                                swarmOnly,
	"deploy.resources.reservations.cpus":              swarmOnly,
	"deploy.resources.reservations.generic_resources": swarmOnly,
	"deploy.restart_policy.delay":                     "the engine waits as it sees fit between restarts",
	"deploy.restart_policy.window":                    "the engine decides when a container counts as running",
}

var readElsewhere = map[string]string{
	"configs.<name>.labels": "they label the config in the store of a cluster",
	"secrets.<name>.labels": "they label the secret in the store of a cluster",
}

// harmless are values of refused attributes that ask for nothing.
var harmless = map[string]string{
	"services.<name>.isolation":        "default",
	"services.<name>.build.isolation":  "default",
	"services.<name>.build.provenance": "false",
	"services.<name>.build.sbom":       "false",
}

var refusedAttributes = map[string]string{
	"services.<name>.build.isolation":                           windowsOnly,
	"services.<name>.build.provenance":                          noAttest,
	"services.<name>.build.sbom":                                noAttest,
	"services.<name>.cpu_percent":                               windowsOnly + "; use cpus",
	"services.<name>.credential_spec":                           windowsOnly,
	"services.<name>.deploy.resources.limits.devices":           "devices are reserved, not limited",
	"services.<name>.deploy.resources.limits.generic_resources": "they are reserved, not limited",
	"services.<name>.deploy.resources.reservations.pids":        "processes are limited, not reserved",
	"services.<name>.dockerfile":                                "write build.dockerfile",
	"services.<name>.isolation":                                 windowsOnly,
	"services.<name>.log_driver":                                "write logging.driver",
	"services.<name>.log_opt":                                   "write logging.options",
	"services.<name>.net":                                       "write network_mode",
	"services.<name>.umask":                                     "the Docker Engine API has no field for it; write umask in the command",
	"services.<name>.volume_driver":                             "give the driver of the volume in volumes:",
	"secrets.<name>.driver":                                     storeOnly + "; use file or environment",
	"secrets.<name>.driver_opts":                                storeOnly + "; use file or environment",
	"secrets.<name>.template_driver":                            storeOnly,
	"secrets.<name>.external":                                   "an engine without a cluster has no secret store; use file or environment",
	"configs.<name>.template_driver":                            storeOnly,
	"configs.<name>.driver":                                     storeOnly + "; use file, environment or content",
	"configs.<name>.driver_opts":                                storeOnly + "; use file, environment or content",
	"configs.<name>.external":                                   "an engine without a cluster has no config store; use file, environment or content",
	"jobs":                                                      "there is no scheduler; write a service with a profile and start it with stack run",
}
