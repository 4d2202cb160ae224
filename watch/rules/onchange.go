package rules

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// onChange adds the rules of x-stack's on_change: one for each bind mount of the service.
func (m *maker) onChange(service string) error {
	reactions := m.OnChange(service)
	if len(reactions) == 0 {
		return nil
	}
	sources := m.bindSources(service)
	for _, c := range reactions {
		for _, source := range sources {
			r := &Rule{Service: service, Path: source, Action: Restart, Signal: c.Signal, Include: c.Paths, Ignore: c.Ignore, Place: c.Place}
			switch {
			case c.Signal != "":
				r.Action = Signal
			case len(c.Exec) > 0:
				r.Action, r.Exec = Exec, types.ServiceHook{Command: c.Exec}
			}
			if err := m.add(r, nil, "", written...); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindSources are the files and directories of this machine that the service's containers see, each once.
func (m *maker) bindSources(service string) []string {
	var out []string
	for i, v := range m.Services[service].Volumes {
		if v.Type != types.VolumeTypeBind || !filepath.IsAbs(v.Source) {
			continue
		}
		path := project.RealPath(v.Source)
		if path == "/" {
			m.warn("no-effect", m.Position("services", service, "volumes", strconv.Itoa(i)), "on_change is not about the bind mount of /: all of this machine is not watched")
		}
		if path == "/" || noFiles(path) {
			continue
		}
		if !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}

// noFiles says whether the path is one of the kernel's, or no file at all: a socket, a device.
func noFiles(path string) bool {
	if _, ok := kernelsOwn(path); ok {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && !info.Mode().IsRegular()
}

// kernelsOwn returns the directory with the kernel's own files that the path is in, if it is.
func kernelsOwn(path string) (dir string, ok bool) {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if _, ok := below(path, dir); ok {
			return dir, true
		}
	}
	return "", false
}
