package project

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"
)

// merger runs compose-go, which takes half a millisecond for each service. Services do not influence
// each other while they are merged, so that files that neither include nor extend are cut into parts which are merged side
// by side, from the nodes that were parsed and interpolated already. Everything else takes compose-go's own way from the
// text of the files. A test compares the two.
type merger struct {
	files    []string
	sources  []*source
	name     string
	profiles []string
	details  types.ConfigDetails // directory and environment
}

// servicesPerPart is how many services make a part of their own worth while.
const servicesPerPart = 8

func (m *merger) merge(ctx context.Context) (*types.Project, error) {
	if !m.plain() {
		return m.whole(ctx)
	}
	names := m.serviceNames()
	n := max(1, min(runtime.GOMAXPROCS(0), len(names)/servicesPerPart))
	parts := make([]*types.Project, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		group.Go(func() (err error) {
			parts[i], err = m.part(ctx, names[i*len(names)/n:(i+1)*len(names)/n])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return union(parts), nil
}

// whole has compose-go read the text.
func (m *merger) whole(ctx context.Context) (*types.Project, error) {
	details := m.details
	for _, file := range m.files {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: file, Content: contentOf(m.sources, file)})
	}
	return loader.LoadWithContext(ctx, details, m.options, func(lo *loader.Options) {
		lo.Interpolate = &interpolation.Options{
			Substitute:      substituteQuietly,
			LookupValue:     details.LookupEnv,
			TypeCastMapping: lo.Interpolate.TypeCastMapping,
		}
	})
}

func (m *merger) options(lo *loader.Options) {
	lo.SetProjectName(m.name, true)
	lo.SkipValidation = true       // schema.go
	lo.SkipConsistencyCheck = true // validate.go
	lo.Profiles = m.profiles
}

// plain says that the files can be merged in parts: no include, extends or tags, and one document each.
func (m *merger) plain() bool {
	if len(m.sources) != len(m.files) {
		return false
	}
	for _, s := range m.sources {
		if s.root == nil || s.documents > 1 || tagged(s.root) || len(references(s.root)) > 0 || s.has("include") || s.extends() {
			return false
		}
	}
	return true
}

func (s *source) has(key string) bool {
	_, ok := childOfMapping(s.root, key)
	return ok
}

func (s *source) extends() bool {
	services, ok := childOfMapping(s.root, "services")
	if !ok {
		return false
	}
	return slices.ContainsFunc(resolveAlias(services.value).Content, func(n *yaml.Node) bool {
		_, ok := child(n, "extends")
		return ok
	})
}

// tagged says whether there is a tag that is not YAML's own, such as !reset.
func tagged(n *yaml.Node) bool {
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return true
	}
	return slices.ContainsFunc(n.Content, tagged)
}

func (m *merger) serviceNames() []string {
	var names []string
	for _, s := range m.sources {
		services, ok := childOfMapping(s.root, "services")
		if !ok {
			continue
		}
		content := resolveAlias(services.value).Content
		for i := 0; i < len(content); i += 2 {
			if name := content[i].Value; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// part merges the files as if they had only the named services.
func (m *merger) part(ctx context.Context, names []string) (*types.Project, error) {
	details := m.details
	details.Environment = maps.Clone(details.Environment)
	var aside map[string]map[string]any
	for _, s := range m.sources {
		config := make(map[string]any)
		if err := s.only(names).Decode(&config); err != nil {
			return nil, err
		}
		if len(m.sources) == 1 {
			aside = setAside(config)
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: s.file, Config: config})
	}
	options := []func(*loader.Options){m.options, func(lo *loader.Options) {
		lo.Interpolate = &interpolation.Options{ // phases 3 and 4 have replaced variables and cast values
			Substitute:  func(text string, _ template.Mapping) (string, error) { return text, nil },
			LookupValue: details.LookupEnv,
		}
	}}
	model, err := loader.LoadModelWithContext(ctx, details, options...)
	if err != nil {
		return nil, err
	}
	putBack(model, aside)
	return loader.ModelToProject(model, loader.ToOptions(&details, options), details)
}

// only is the file's root without other services than the named ones.
func (s *source) only(names []string) *yaml.Node {
	root := *s.root
	root.Content = slices.Clone(root.Content)
	for i := 0; i < len(root.Content); i += 2 {
		if root.Content[i].Value != "services" {
			continue
		}
		all := resolveAlias(root.Content[i+1])
		some := *all
		some.Content = nil
		for j := 0; j+1 < len(all.Content); j += 2 {
			if all.Content[j].Tag == "!!merge" || slices.Contains(names, all.Content[j].Value) {
				some.Content = append(some.Content, all.Content[j], all.Content[j+1])
			}
		}
		root.Content[i+1] = &some
	}
	return &root
}

// union puts the parts together. They have the same networks, volumes and so on, but for the default network, which only
// those have whose services use it.
func union(parts []*types.Project) *types.Project {
	out := parts[0]
	for _, p := range parts[1:] {
		out.Services = joined(out.Services, p.Services)
		out.DisabledServices = joined(out.DisabledServices, p.DisabledServices)
		out.Networks = joined(out.Networks, p.Networks)
	}
	return out
}

func joined[M ~map[string]V, V any](a, b M) M {
	if len(a) == 0 {
		return b
	}
	maps.Copy(a, b)
	return a
}
