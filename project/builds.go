package project

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// CheckBuilds looks whether the contexts and Dockerfiles of the services that are built are there. What is missing is an Errors.
func (p *Project) CheckBuilds() error {
	var errs Errors
	for _, name := range p.ServiceNames() {
		if e := p.MissingBuildFile(p.Services[name]); e != nil {
			errs = append(errs, e)
		}
	}
	return errs.Sorted()
}

// MissingBuildFile is the mistake that the service's build context or its Dockerfile is not there, or nil. Contexts
// elsewhere are not looked at.
func (p *Project) MissingBuildFile(s types.ServiceConfig) *Error {
	b := s.Build
	if b == nil || RemoteContext(b.Context) {
		return nil
	}
	at := func(key string) []string { return []string{"services", s.Name, "build", key} }
	if info, err := os.Stat(b.Context); err != nil || !info.IsDir() {
		return p.mistake("missing-file", fmt.Sprintf("the build context %s is not a folder", p.shown(b.Context)), "create the folder, or name another one", at("context")...)
	}
	file := Dockerfile(b)
	if info, err := os.Stat(file); b.DockerfileInline != "" || err == nil && info.Mode().IsRegular() {
		return nil
	}
	key := "context"
	if p.has(at("dockerfile")...) {
		key = "dockerfile"
	}
	return p.mistake("missing-file", "there is no Dockerfile at "+p.shown(file), "create it, or name another one with build.dockerfile", at(key)...)
}

// RemoteContext says whether a build context is no folder of this machine.
func RemoteContext(context string) bool {
	return strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/")
}

// Dockerfile is the path of the Dockerfile of a build whose context is a folder.
func Dockerfile(b *types.BuildConfig) string {
	name := b.Dockerfile
	if name == "" {
		name = "Dockerfile"
	}
	return absolute(name, b.Context)
}

// shown is a path as seen from the project's folder.
func (p *Project) shown(path string) string {
	if rel, err := filepath.Rel(p.Dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
