package desired

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Labels by which Docker Compose and everything that reads its labels knows the parts of a project.
const (
	LabelProject     = "com.docker.compose.project"
	LabelService     = "com.docker.compose.service"
	LabelNumber      = "com.docker.compose.container-number"
	LabelOneOff      = "com.docker.compose.oneoff" // "True" or "False"
	LabelConfigHash  = "com.docker.compose.config-hash"
	LabelImage       = "com.docker.compose.image" // the image's ID
	LabelDependsOn   = "com.docker.compose.depends_on"
	LabelConfigFiles = "com.docker.compose.project.config_files"
	LabelWorkingDir  = "com.docker.compose.project.working_dir"
	LabelVersion     = "com.docker.compose.version"
	LabelNetwork     = "com.docker.compose.network"
	LabelVolume      = "com.docker.compose.volume"
	LabelReplace     = "com.docker.compose.replace" // the name that a container takes over
	LabelHook        = "com.docker.compose.hook"    // what kind of hook the container is for, and no replica
)

// HookPreStart is the value of LabelHook for the containers of pre_start.
const HookPreStart = "pre_start"

// Labels of our own.
const (
	LabelHash   = "dev.stack.hash"   // Container.Hash, Network.Hash or Volume.Hash
	LabelConfig = "dev.stack.config" // Settings.Pack, from which a later plan names what differs

	// LabelTakesOver has the full ID of the container whose host ports and names a new one gets when that one is stopped. Until
	// then both have them in their configuration, and only the old one has them in fact.
	LabelTakesOver = "dev.stack.takes-over"
)

// composeVersion is the release of Docker Compose whose labels ours are equal to.
const composeVersion = "5.0.0"

func (b *builder) serviceLabels(s *serviceBuilder) map[string]string {
	b.checkLabels(s.Labels, place(s.Name, slices.Concat(s.under, []string{"labels"})...)...)
	labels := make(map[string]string, len(s.Labels)+12)
	maps.Copy(labels, s.Labels)
	maps.Copy(labels, s.CustomLabels)
	labels[LabelProject] = b.project.Name
	labels[LabelService] = s.Name
	labels[LabelOneOff] = "False"
	labels[LabelVersion] = composeVersion
	labels[LabelConfigFiles] = strings.Join(b.project.Files, ",")
	labels[LabelWorkingDir] = b.project.Dir
	labels[LabelDependsOn] = dependsOnLabel(s.out.DependsOn)
	labels[LabelConfigHash] = s.out.ComposeHash
	return labels
}

// checkLabels refuses labels by which the parts of projects are known: they would be taken for others', or be lost.
func (b *builder) checkLabels(labels map[string]string, path ...string) {
	for _, name := range sortedKeys(labels) {
		if ownLabel(name) {
			b.errors = append(b.errors, b.project.Mistake("the label "+name+" is reserved", "use a name of your own", extend(path, name)...))
		}
	}
}

func dependsOnLabel(deps []Dependency) string {
	parts := make([]string, len(deps))
	for i, d := range deps {
		parts[i] = fmt.Sprintf("%s:%s:%t", d.Service, d.Condition, d.Restart)
	}
	return strings.Join(parts, ",")
}

func numbered(labels map[string]string, number int) map[string]string {
	out := maps.Clone(labels)
	out[LabelNumber] = strconv.Itoa(number)
	return out
}

// ownLabel says whether we (or Docker Compose) put the label there, and not the user.
func ownLabel(name string) bool {
	return strings.HasPrefix(name, "com.docker.compose.") || strings.HasPrefix(name, "dev.stack.")
}

// separator is what stands between the parts of names.
func (b *builder) separator() string { return cmp.Or(b.in.Separator, "-") }

// containerName is the name of a service's replica.
func (b *builder) containerName(service string, number int) string {
	if s, ok := b.project.Services[service]; ok && s.ContainerName != "" {
		return s.ContainerName
	}
	return strings.Join([]string{b.project.Name, service, strconv.Itoa(number)}, b.separator())
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// place is the path of a service's attribute.
func place(service string, path ...string) []string {
	return append([]string{"services", service}, path...)
}
