package spec

import (
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/oci/caps"
	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
)

// DefaultPath is the PATH of containers whose image sets none; it is Docker's.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (in Input) process(sec security) (*specs.Process, error) {
	host := in.host()
	args, err := in.args()
	if err != nil {
		return nil, err
	}
	set, err := capabilities(host)
	if err != nil {
		return nil, err
	}
	limits, err := rlimits(host.Ulimits)
	if err != nil {
		return nil, err
	}
	p := &specs.Process{
		Terminal:        in.Config.Tty,
		Args:            args,
		Env:             in.env(),
		Cwd:             in.cwd(),
		Capabilities:    &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set},
		Rlimits:         limits,
		NoNewPrivileges: sec.noNewPrivileges,
		ApparmorProfile: sec.apparmor,
		OOMScoreAdj:     &host.OomScoreAdj,
	}
	if size := host.ConsoleSize; in.Config.Tty && size[0] > 0 && size[1] > 0 {
		p.ConsoleSize = &specs.Box{Height: size[0], Width: size[1]}
	}
	return p, nil
}

// args joins entry point and command. The image's command is used only with the image's entry point.
func (in Input) args() ([]string, error) {
	entrypoint, cmd := []string(in.Config.Entrypoint), []string(in.Config.Cmd)
	if len(entrypoint) == 0 {
		if len(cmd) == 0 {
			cmd = in.Image.Cmd
		}
		if entrypoint == nil {
			entrypoint = in.Image.Entrypoint
		}
	}
	if len(entrypoint) == 1 && entrypoint[0] == "" { // asks for no entry point, whatever the image has
		entrypoint = nil
	}
	args := slices.Concat(entrypoint, cmd)
	if len(args) == 0 || args[0] == "" {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot run container %s: no command specified", in.ID)
	}
	return args, nil
}

func (in Input) cwd() string {
	dir := in.Config.WorkingDir
	if dir == "" {
		dir = in.Image.WorkingDir
	}
	return path.Join("/", dir)
}

// env lets the image override the defaults and the container override both. "NAME" without a value takes it away.
func (in Input) env() []string {
	env := []string{"PATH=" + DefaultPath, "HOSTNAME=" + in.hostname()}
	if in.Config.Tty {
		env = append(env, "TERM=xterm")
	}
	index := map[string]int{}
	for i, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		index[name] = i
	}
	removed := map[string]bool{}
	for _, kv := range slices.Concat(in.Image.Env, in.Config.Env) {
		name, _, hasValue := strings.Cut(kv, "=")
		removed[name] = !hasValue
		if i, ok := index[name]; ok {
			env[i] = kv
		} else {
			index[name] = len(env)
			env = append(env, kv)
		}
	}
	return slices.DeleteFunc(env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return removed[name]
	})
}

// capabilities returns the set that the container's processes have and cannot exceed.
func capabilities(host *container.HostConfig) ([]string, error) {
	set, err := caps.TweakCapabilities(caps.DefaultCapabilities(), host.CapAdd, host.CapDrop, host.Privileged)
	if err != nil {
		return nil, invalid("CapAdd or CapDrop", "%w", err)
	}
	return set, nil
}

// defaultNofile holds against programs that loop over all descriptors, and lets those that need more raise it.
var defaultNofile = specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 524288}

// rlimits converts the limits; -1 is none.
func rlimits(ulimits []*container.Ulimit) ([]specs.POSIXRlimit, error) {
	limits := []specs.POSIXRlimit{defaultNofile}
	for _, u := range ulimits {
		if u == nil {
			continue
		}
		if _, err := (&units.Ulimit{Name: u.Name}).GetRlimit(); err != nil {
			return nil, invalid("Ulimits", "there is no limit %q", u.Name)
		}
		if u.Hard != -1 && (u.Soft > u.Hard || u.Soft == -1) {
			return nil, invalid("Ulimits", "the soft limit %d of %s exceeds the hard limit %d", u.Soft, u.Name, u.Hard)
		}
		limit := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard)}
		same := func(l specs.POSIXRlimit) bool { return l.Type == limit.Type }
		if i := slices.IndexFunc(limits, same); i >= 0 {
			limits[i] = limit
		} else {
			limits = append(limits, limit)
		}
	}
	return limits, nil
}
