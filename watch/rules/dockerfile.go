package rules

import "stackrun.dev/stack/project"

// dockerfiles adds rules that rebuild the service's image when its Dockerfile changes, or what says which files are left out.
func (m *maker) dockerfiles(service string) {
	at := m.Position("services", service, "build")
	for _, path := range dockerfiles(m.Project, service) {
		m.rules = append(m.rules, &Rule{Service: service, Path: project.RealPath(path), Action: Rebuild, Place: at})
	}
}

// dockerfiles are the files that say how the service's image is built. They need not be there.
func dockerfiles(p *project.Project, service string) []string {
	b := p.Services[service].Build
	if !local(b) {
		return nil
	}
	dockerfile := project.Dockerfile(b)
	ignored := project.DockerignoreFiles(b.Context, dockerfile)
	if b.DockerfileInline != "" {
		return ignored
	}
	return append([]string{dockerfile}, ignored...)
}
