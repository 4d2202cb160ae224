package project

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Contents are the bytes of files that decide about containers: configs and secrets under ContentKey, and seccomp profiles
// under their path.
type Contents map[string][]byte

// ContentKey is where Contents has a config (kind "configs") or a secret (kind "secrets").
func ContentKey(kind, name string) string { return kind + "/" + name }

// ReadContents reads what the project's services use. A missing file or variable is an Errors.
func (p *Project) ReadContents() (Contents, error) {
	c := make(Contents)
	var errs Errors
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		for _, ref := range s.Configs {
			errs = append(errs, c.read(p, "configs", ref.Source, types.FileObjectConfig(p.Configs[ref.Source]))...)
		}
		for _, ref := range s.Secrets {
			errs = append(errs, c.read(p, "secrets", ref.Source, types.FileObjectConfig(p.Secrets[ref.Source]))...)
		}
		if s.Build != nil {
			for _, ref := range s.Build.Secrets {
				errs = append(errs, c.read(p, "secrets", ref.Source, types.FileObjectConfig(p.Secrets[ref.Source]))...)
			}
		}
		for _, opt := range s.SecurityOpt {
			errs = append(errs, c.readProfile(p, name, opt)...)
		}
	}
	return c, errs.Sorted()
}

func (c Contents) read(p *Project, kind, name string, object types.FileObjectConfig) Errors {
	key := ContentKey(kind, name)
	if _, done := c[key]; done {
		return nil
	}
	switch {
	case object.Environment != "":
		value, ok := p.Env[object.Environment]
		if !ok {
			problem := fmt.Sprintf("the variable %s is not set", object.Environment)
			return Errors{p.mistake("variable-required", problem, "set it in the environment or in .env", kind, name, "environment")}
		}
		c[key] = []byte(value)
	case object.Content != "":
		c[key] = []byte(object.Content)
	case object.File != "":
		content, err := readContent(object.File)
		if err != nil {
			return Errors{p.mistake("missing-file", unread("the file", object.File, err), "", kind, name, "file")}
		}
		c[key] = content
	default:
		c[key] = nil
	}
	return nil
}

func (c Contents) readProfile(p *Project, service, opt string) Errors {
	path, ok := strings.CutPrefix(strings.Replace(opt, "seccomp:", "seccomp=", 1), "seccomp=")
	if !ok || path == "unconfined" || path == "builtin" {
		return nil
	}
	content, err := readContent(absolute(path, p.Dir))
	if err != nil {
		return Errors{p.mistake("missing-file", unread("the seccomp profile", path, err), "", "services", service, "security_opt", opt)}
	}
	c[path] = content
	return nil
}

// maxContent is how many bytes a file may have that is kept in memory on its way into a container.
const maxContent = 64 << 20

// readContent reads a file of a bounded size: it may be a device that has no end.
func readContent(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxContent+1))
	if err == nil && len(content) > maxContent {
		err = fmt.Errorf("it has more than %d MiB, the most that is read", maxContent>>20)
	}
	return content, err
}
