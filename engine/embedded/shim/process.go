package shim

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/moby/sys/capability"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/stub"
)

// process is what libcontainer starts, with the files that exist for it only.
type process struct {
	libcontainer.Process
	stubConfig              *os.File
	executed, executedChild *os.File // see stub.Wait
	consoleParent           *os.File
}

func (p *process) close() {
	protocol.CloseAll([]*os.File{p.stubConfig, p.executed, p.executedChild, p.consoleParent, p.ConsoleSocket})
}

// start has libcontainer start the process. The caller holds Shim.starts until the process is known as one that is
// waited for.
func (p *process) start(lc *libcontainer.Container) error {
	err := lc.Start(&p.Process)
	p.executedChild.Close()
	p.executedChild = nil
	return err
}

// takeExecuted hands over the file that tells whether the command was executed.
func (p *process) takeExecuted() *os.File {
	f := p.executed
	p.executed = nil
	return f
}

// newProcess makes libcontainer's process for a plan.
func (c *container) newProcess(pl *plan) (p *process, err error) {
	spec := pl.process
	if len(spec.Args) == 0 {
		return nil, protocol.Errorf(protocol.Invalid, "there is no command to run")
	}
	p = &process{Process: libcontainer.Process{
		Args: spec.Args, Env: withHome(spec.Env, c.user.Home), Cwd: spec.Cwd,
		UID: c.user.UID, GID: c.user.GID, AdditionalGroups: c.user.Groups,
		Capabilities: pl.caps, NoNewPrivileges: &spec.NoNewPrivileges,
		AppArmorProfile: spec.ApparmorProfile, Label: spec.SelinuxLabel,
	}}
	if p.Rlimits, err = rlimits(spec.Rlimits); err != nil {
		return nil, err
	}
	rfd, wfd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.executed, p.executedChild = rfd, wfd
	if pl.stub == nil {
		return p, nil
	}
	if p.stubConfig, err = pl.stub.File(); err != nil {
		p.close()
		return nil, err
	}
	p.Args = append([]string{stub.Path}, spec.Args...)
	p.ExtraFiles = []*os.File{c.shim.cfg.Self, p.stubConfig, p.executedChild}
	return p, nil
}

// wantConsole makes libcontainer open a terminal of that height and width.
func (p *process) wantConsole(size [2]uint) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	p.consoleParent = os.NewFile(uintptr(fds[0]), "console")
	p.ConsoleSocket = os.NewFile(uintptr(fds[1]), "console")
	p.ConsoleHeight, p.ConsoleWidth = uint16(size[0]), uint16(size[1])
	return nil
}

// console is the terminal's controlling side, which the started process has sent.
func (p *process) console() (*os.File, error) {
	p.ConsoleSocket.Close()
	p.ConsoleSocket = nil
	name, oob := make([]byte, 256), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(p.consoleParent.Fd()), name, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	controls, err := unix.ParseSocketControlMessage(oob[:n])
	if err == nil && len(controls) == 1 {
		var fds []int
		if fds, err = unix.ParseUnixRights(&controls[0]); err == nil && len(fds) == 1 {
			return os.NewFile(uintptr(fds[0]), "console"), nil
		}
	}
	return nil, fmt.Errorf("the process sent no terminal: %w", err)
}

func withHome(env []string, home string) []string {
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") && kv != "HOME=" }) {
		return env
	}
	return append(slices.Clip(env), "HOME="+home)
}

var rlimitTypes = map[string]int{
	"RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_STACK": unix.RLIMIT_STACK, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
}

func rlimits(limits []specs.POSIXRlimit) ([]configs.Rlimit, error) {
	var out []configs.Rlimit
	for _, l := range limits {
		typ, ok := rlimitTypes[l.Type]
		if !ok {
			return nil, protocol.Errorf(protocol.Invalid, "unknown limit %q", l.Type)
		}
		if typ == unix.RLIMIT_NOFILE {
			l.Hard = min(l.Hard, mostFiles())
			l.Soft = min(l.Soft, l.Hard)
		}
		out = append(out, configs.Rlimit{Type: typ, Hard: l.Hard, Soft: l.Soft})
	}
	return out, nil
}

// mostFiles is the highest limit of open files that may be set. Every container has such a limit, and where the shim
// itself is confined (no CAP_SYS_RESOURCE) a lower one is better than no container.
var mostFiles = sync.OnceValue(func() uint64 {
	var own unix.Rlimit
	err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &own)
	if err != nil || ownCapabilities()&capabilityBits["CAP_SYS_RESOURCE"] != 0 {
		return math.MaxUint64
	}
	return own.Max
})

func capabilityName(c capability.Cap) string { return "CAP_" + strings.ToUpper(c.String()) }
