package project

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// cast gives a text in quotes, or one that a variable filled, the type that its attribute has.
type cast func(text string) (value, tag string, err error)

var (
	errNoInt   = errors.New("it is not a whole number")
	errNoTime  = errors.New("it is neither a number of microseconds nor a duration")
	errNoFloat = errors.New("it is not a number")
	errNoBool  = errors.New("it is neither true nor false")
)

func castInt(text string) (string, string, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", "", errNoInt
	}
	return strconv.FormatInt(n, 10), "!!int", nil
}

// castMicroseconds takes a duration too, as "400ms".
func castMicroseconds(text string) (string, string, error) {
	if d, err := time.ParseDuration(text); err == nil && text != "0" {
		return strconv.FormatInt(d.Microseconds(), 10), "!!int", nil
	}
	value, tag, err := castInt(text)
	if err != nil {
		err = errNoTime
	}
	return value, tag, err
}

// castOctal reads the number as YAML would: with 0 or 0o before it, it is octal.
func castOctal(text string) (string, string, error) {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return "", "", errNoInt
	}
	return strconv.FormatUint(n, 10), "!!int", nil
}

func castFloat(text string) (string, string, error) { return asFloat(text, 64) }

func castFloat32(text string) (string, string, error) { return asFloat(text, 32) }

func asFloat(text string, bits int) (string, string, error) {
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return "", "", errNoFloat
	}
	return strconv.FormatFloat(f, 'g', -1, bits), "!!float", nil
}

// castBool takes the words of YAML 1.1 too.
func castBool(text string) (string, string, error) {
	switch strings.ToLower(text) {
	case "true", "y", "yes", "on":
		return "true", "!!bool", nil
	case "false", "n", "no", "off":
		return "false", "!!bool", nil
	}
	return "", "", errNoBool
}

// set gives the node what its text was cast to.
func (c cast) set(n *yaml.Node) error {
	value, tag, err := c(n.Value)
	if err == nil {
		n.Value, n.Tag, n.Style = value, tag, 0
	}
	return err
}

// casts are the attributes that are no texts, by their shape.
var casts = map[string]cast{
	"networks.*.external":    castBool,
	"networks.*.internal":    castBool,
	"networks.*.attachable":  castBool,
	"networks.*.enable_ipv4": castBool,
	"networks.*.enable_ipv6": castBool,
	"volumes.*.external":     castBool,
	"secrets.*.external":     castBool,
	"configs.*.external":     castBool,

	"services.*.cpu_count":                         castInt,
	"services.*.cpu_percent":                       castFloat,
	"services.*.cpu_period":                        castInt,
	"services.*.cpu_quota":                         castInt,
	"services.*.cpu_rt_period":                     castMicroseconds,
	"services.*.cpu_rt_runtime":                    castMicroseconds,
	"services.*.cpu_shares":                        castInt,
	"services.*.cpus":                              castFloat32,
	"services.*.init":                              castBool,
	"services.*.networks.*.use_service_name_alias": castBool,
	"services.*.oom_kill_disable":                  castBool,
	"services.*.oom_score_adj":                     castInt,
	"services.*.pids_limit":                        castInt,
	"services.*.privileged":                        castBool,
	"services.*.read_only":                         castBool,
	"services.*.umask":                             castOctal,
	"services.*.ulimits.*":                         castInt,
	"services.*.ulimits.*.hard":                    castInt,
	"services.*.ulimits.*.soft":                    castInt,
	"services.*.volumes[].read_only":               castBool,
	"services.*.volumes[].volume.nocopy":           castBool,
	"services.*.depends_on.*.required":             castBool,
	"services.*.depends_on.*.restart":              castBool,
	"services.*.healthcheck.retries":               castInt,
	"services.*.healthcheck.disable":               castBool,
	"services.*.ports[].target":                    castInt,
	"services.*.stdin_open":                        castBool,
	"services.*.tty":                               castBool,

	"services.*.deploy.replicas":                          castInt,
	"services.*.deploy.update_config.parallelism":         castInt,
	"services.*.deploy.update_config.max_failure_ratio":   castFloat,
	"services.*.deploy.rollback_config.parallelism":       castInt,
	"services.*.deploy.rollback_config.max_failure_ratio": castFloat,
	"services.*.deploy.restart_policy.max_attempts":       castInt,
	"services.*.deploy.placement.max_replicas_per_node":   castInt,
	"services.*.scale": castInt,

	// These the reference implementation casts when it decodes, not before.
	"services.*.build.no_cache":                  castBool,
	"services.*.build.pull":                      castBool,
	"services.*.build.privileged":                castBool,
	"services.*.env_file[].required":             castBool,
	"services.*.post_start[].privileged":         castBool,
	"services.*.pre_stop[].privileged":           castBool,
	"services.*.pre_start[].per_replica":         castBool,
	"services.*.volumes[].bind.create_host_path": castBool,
	"services.*.networks.*.priority":             castInt,
	"services.*.networks.*.gw_priority":          castInt,
	"services.*.develop.watch[].initial_sync":    castBool,
	"jobs.*.triggers.manual":                     castBool,
}
