package launch

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Target is the engine that a command talks to.
type Target struct {
	Host     string // the URL of its socket, for example unix:///run/stack/engine.sock
	Embedded bool   // ours to start; Root and Run are set
	Root     string // where the embedded engine keeps its state
	Run      string // where it keeps its socket, its locks and what a reboot may forget
}

// maxSocketPath is what fits into sockaddr_un, without the final zero. See unix(7).
const maxSocketPath = 107

// Locate decides which engine is meant: the host given with a flag, else STACK_HOST, else DOCKER_HOST, else the
// embedded engine at STACK_RUN and STACK_ROOT.
func Locate(host string, getenv func(string) string) (Target, error) {
	for _, candidate := range []string{host, getenv("STACK_HOST"), getenv("DOCKER_HOST")} {
		if candidate == "" {
			continue
		}
		u, err := url.Parse(candidate)
		if err != nil || u.Scheme == "" {
			return Target{}, fmt.Errorf("host %q is not an address such as unix:///run/docker.sock or tcp://127.0.0.1:2375", candidate)
		}
		return ownTarget(candidate, getenv), nil
	}
	return Embedded(getenv)
}

// ownTarget recognises the embedded engine's socket in host: an engine may be named by its address and still be ours
// to start.
func ownTarget(host string, getenv func(string) string) Target {
	if own, err := Embedded(getenv); err == nil && own.isAt(host) {
		return own
	}
	return Target{Host: host}
}

// isAt says that the address is the engine's, by whatever way its folder is named: locks and intents are found by the target.
func (t Target) isAt(host string) bool {
	path, unix := strings.CutPrefix(host, "unix://")
	if t.Host == host || !unix || filepath.Base(path) != filepath.Base(t.Socket()) {
		return t.Host == host
	}
	asked, err := filepath.EvalSymlinks(filepath.Dir(path))
	own, ownErr := filepath.EvalSymlinks(filepath.Dir(t.Socket()))
	return err == nil && ownErr == nil && asked == own
}

// Embedded is the embedded engine of this user and environment.
func Embedded(getenv func(string) string) (Target, error) {
	root, run := defaultDirs(getenv)
	if dir := getenv("STACK_ROOT"); dir != "" {
		root = dir
	}
	if dir := getenv("STACK_RUN"); dir != "" {
		run = dir
	}
	for _, dir := range []string{root, run} {
		if !filepath.IsAbs(dir) {
			return Target{}, fmt.Errorf("directory %q of the engine is not absolute: check STACK_ROOT and STACK_RUN", dir)
		}
	}
	t := Target{Embedded: true, Root: filepath.Clean(root), Run: filepath.Clean(run)}
	t.Host = "unix://" + t.Socket()
	if len(t.Socket()) > maxSocketPath {
		return Target{}, fmt.Errorf("path %s is too long for a socket (%d bytes at most): set STACK_RUN to a shorter directory", t.Socket(), maxSocketPath)
	}
	return t, nil
}

func defaultDirs(getenv func(string) string) (root, run string) {
	if os.Getuid() == 0 {
		return "/var/lib/stack", "/run/stack"
	}
	data := getenv("XDG_DATA_HOME")
	if data == "" {
		data = filepath.Join(getenv("HOME"), ".local", "share")
	}
	root = filepath.Join(data, "stack")
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		return root, filepath.Join(dir, "stack")
	}
	return root, filepath.Join(root, "run")
}

// Socket is the path of the embedded engine's socket, or of the Unix socket in Host, or "".
func (t Target) Socket() string {
	if t.Embedded {
		return filepath.Join(t.Run, "engine.sock")
	}
	path, ok := strings.CutPrefix(t.Host, "unix://")
	if !ok {
		return ""
	}
	return path
}

func (t Target) rootLock() string  { return filepath.Join(t.Root, "engine.lock") }
func (t Target) startLock() string { return filepath.Join(t.Run, "start.lock") }
func (t Target) pidFile() string   { return filepath.Join(t.Run, "engine.pid") }

// LogFile is where the embedded engine writes what it has to tell.
func (t Target) LogFile() string { return filepath.Join(t.Root, "engine.log") }

func (t Target) makeDirs() error {
	for _, dir := range []string{t.Root, t.Run} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("cannot make the engine's directory: %w", err)
		}
	}
	return nil
}
