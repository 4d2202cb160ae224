package desired

// remarks are what the embedded engine does not have of attributes that are carried out: it refuses them, by their names in
// the Engine API, when the container, the network or the volume is made. Docker may have them.
var remarks = map[string]string{
	"configs.<name>.name":                                   "it names the config in the store of a cluster",
	"secrets.<name>.name":                                   "it names the secret in the store of a cluster",
	"networks.<name>.driver":                                "the embedded engine has bridge",
	"networks.<name>.driver_opts":                           "the embedded engine has those of Docker's bridge that are about names, MTU, masquerading and traffic between containers",
	"networks.<name>.enable_ipv4":                           "the embedded engine has no networks without IPv4",
	"networks.<name>.enable_ipv6":                           "the embedded engine has IPv4 only",
	"networks.<name>.ipam.config":                           "the embedded engine has one IPv4 subnet for each network",
	"networks.<name>.ipam.driver":                           "the embedded engine has default",
	"networks.<name>.ipam.options":                          "the embedded engine has none",
	"services.<name>.build.platforms":                       "one at a time",
	"services.<name>.cpu_rt_period":                         "the embedded engine has no real-time scheduling",
	"services.<name>.cpu_rt_runtime":                        "the embedded engine has no real-time scheduling",
	"services.<name>.deploy.resources.reservations.devices": "the embedded engine has no drivers of devices",
	"services.<name>.gpus":                                  "the embedded engine has no drivers of devices",
	"services.<name>.logging.driver":                        "the embedded engine has json-file and none",
	"services.<name>.mem_swappiness":                        "control groups of version 2 have no such setting",
	"services.<name>.networks.<name>.driver_opts":           "the embedded engine has those for the name of the interface and for sysctls",
	"services.<name>.networks.<name>.ipv6_address":          "the embedded engine has IPv4 only",
	"services.<name>.networks.<name>.link_local_ips":        "the embedded engine has none",
	"services.<name>.oom_kill_disable":                      "control groups of version 2 have no such setting",
	"services.<name>.runtime":                               "the embedded engine has runc",
	"services.<name>.storage_opt":                           "the embedded engine has no options of storage",
	"services.<name>.userns_mode":                           "the embedded engine has host",
	"services.<name>.volumes[].image":                       "the embedded engine mounts no images",
	"volumes.<name>.driver":                                 "the embedded engine has local",
	"volumes.<name>.driver_opts":                            "the embedded engine has tmpfs and binds",
}
