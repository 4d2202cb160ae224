package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// settings are what git is told in each call. The user's own configuration stays in force (credentials, proxies, rewritten
// addresses), except where it would let a repository run something.
var settings = []string{
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"core.symlinks=true",
	"submodule.recurse=false",
	"fetch.recurseSubmodules=false",
	"advice.detachedHead=false",
	"gc.auto=0",
	"fetch.unpackLimit=1", // one pack, whose size has a bound
	// a server that stands still is given up
	"http.lowSpeedLimit=1000",
	"http.lowSpeedTime=60",
}

const (
	longestOutput   = 4 << 20 // of what git prints; the list of a ref's names is some lines
	longestMessage  = 2 << 10 // of what git says that went wrong
	graceOfChildren = 5 * time.Second
)

// gitProgram runs git.
type gitProgram struct {
	env         []string
	largest     int64 // how many bytes a file may have that git writes
	interactive bool  // git may ask on the terminal, which it can only in the terminal's own process group
}

// newGitProgram makes the environment for git: nothing about the repository that this command happens to stand in, nobody
// is asked for passwords unless the user has said so, and only the usual protocols are spoken, whatever a server redirects
// to or the configuration rewrites.
func newGitProgram(env []string) gitProgram {
	set := make(map[string]bool)
	out := slices.DeleteFunc(slices.Clone(env), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		set[name] = true
		return localToRepository[name] || name == "GIT_ALLOW_PROTOCOL"
	})
	out = append(out, "GIT_ALLOW_PROTOCOL=http:https:ssh:git")
	if !set["GIT_TERMINAL_PROMPT"] {
		out = append(out, "GIT_TERMINAL_PROMPT=0")
	}
	if !set["GIT_SSH"] && !set["GIT_SSH_COMMAND"] {
		out = append(out, "GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ControlMaster=no")
	}
	return gitProgram{out, math.MaxInt64, set["GIT_TERMINAL_PROMPT"] || set["GIT_SSH"] || set["GIT_SSH_COMMAND"]}
}

// localToRepository is what git rev-parse --local-env-vars lists: set, for example, where a hook calls this program.
var localToRepository = map[string]bool{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES": true, "GIT_CONFIG": true, "GIT_OBJECT_DIRECTORY": true, "GIT_DIR": true,
	"GIT_WORK_TREE": true, "GIT_IMPLICIT_WORK_TREE": true, "GIT_GRAFT_FILE": true, "GIT_INDEX_FILE": true,
	"GIT_NO_REPLACE_OBJECTS": true, "GIT_REPLACE_REF_BASE": true, "GIT_PREFIX": true, "GIT_SHALLOW_FILE": true,
	"GIT_COMMON_DIR": true, "GIT_INTERNAL_SUPER_PREFIX": true, "GIT_NAMESPACE": true,
}

// run runs git in dir and returns what it printed.
func (g gitProgram) run(ctx context.Context, dir string, args ...string) (string, error) {
	out := &head{limit: longestOutput}
	err := g.stream(ctx, dir, out, args...)
	if err != nil {
		return "", err
	}
	return out.text.String(), nil
}

// stream runs git in dir and writes what it prints to out. An error of out ends git.
func (g gitProgram) stream(ctx context.Context, dir string, out io.Writer, args ...string) error {
	all := make([]string, 0, 2*len(settings)+len(args))
	for _, s := range settings {
		all = append(all, "-c", s)
	}
	cmd := exec.CommandContext(ctx, "git", append(all, args...)...)
	cmd.Dir, cmd.Env = dir, g.env
	messages := &tail{limit: longestMessage}
	cmd.Stdout, cmd.Stderr = out, messages
	cmd.WaitDelay = graceOfChildren
	if !g.interactive {
		// git leaves its children when it is ended
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	}
	err := cmd.Start()
	if err == nil {
		// Its children, which write what arrives, are not there yet and will have the bound too.
		most := uint64(g.largest)
		_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: most, Max: most}, nil)
		err = cmd.Wait()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("the program git is not there; install it (in Debian and Ubuntu: apt-get install git)")
	}
	if err != nil {
		return &gitError{args[0], messages.String(), err}
	}
	return nil
}

// gitError is git's failure, with what it said.
type gitError struct {
	command, messages string
	err               error
}

func (e *gitError) Error() string {
	if text := printable(e.messages); text != "" {
		return "git " + e.command + ": " + text
	}
	return fmt.Sprintf("git %s: %v", e.command, e.err)
}

func (e *gitError) Unwrap() error { return e.err }

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// printable is the text on one line, without what a terminal would obey: a server chooses some of it.
func printable(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return -1
			}
			return r
		}, strings.ToValidUTF8(line, ""))
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// head keeps what is written and refuses more than the limit.
type head struct {
	text  bytes.Buffer
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	if h.text.Len()+len(p) > h.limit {
		return 0, errors.New("it is too long")
	}
	return h.text.Write(p)
}

// tail keeps the last bytes that are written.
type tail struct {
	text  []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > 2*t.limit {
		t.text = slices.Clone(t.text[len(t.text)-t.limit:])
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text[max(0, len(t.text)-t.limit):]) }
