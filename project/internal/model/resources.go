package model

import (
	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

// resources decodes what services share, and names it.
func (b *builder) resources(p *types.Project, root *tree.Value) {
	b.decode(root.Get("networks"), &p.Networks)
	b.decode(root.Get("volumes"), &p.Volumes)
	b.decode(root.Get("configs"), &p.Configs)
	b.decode(root.Get("secrets"), &p.Secrets)
	b.fileObjects(p, root)
	b.deviceMounts(p.Volumes, root.Get("volumes"))
	if !b.NoNormalize {
		b.nameResources(p)
	}
}

// fileObjects gives configs and secrets their absolute files and what variables hold.
func (b *builder) fileObjects(p *types.Project, root *tree.Value) {
	for name, c := range p.Configs {
		b.fileObject((*types.FileObjectConfig)(&c), root.Get("configs").Get(name))
		p.Configs[name] = c
	}
	for name, s := range p.Secrets {
		b.fileObject((*types.FileObjectConfig)(&s), root.Get("secrets").Get(name))
		p.Secrets[name] = s
	}
}

func (b *builder) fileObject(o *types.FileObjectConfig, v *tree.Value) {
	if file := v.Get("file"); file.Scalar() {
		o.File = b.anywhere(file, o.File)
	}
	if variable := v.Get("environment"); variable.Scalar() {
		if value, ok := b.lookup(variable.Place, o.Environment); ok {
			o.Content = value
		}
	}
}

// deviceMounts makes the directories absolute that local volumes are bind mounts of.
func (b *builder) deviceMounts(volumes types.Volumes, all *tree.Value) {
	for name, v := range volumes {
		if device := all.Get(name).Get("driver_opts").Get("device"); device != nil && v.Driver == "local" && v.DriverOpts["o"] == "bind" {
			v.DriverOpts["device"] = b.anywhere(device, v.DriverOpts["device"])
		}
	}
}

// nameResources adds the default network if a service is in it, and names what has no name after the project and its key.
func (b *builder) nameResources(p *types.Project) {
	if _, ok := p.Networks["default"]; !ok && b.defaultNetwork {
		if p.Networks == nil {
			p.Networks = make(types.Networks)
		}
		p.Networks["default"] = types.NetworkConfig{}
	}
	for key, r := range p.Networks {
		r.Name = b.nameOf(r.Name, key, r.External)
		p.Networks[key] = r
	}
	for key, r := range p.Volumes {
		r.Name = b.nameOf(r.Name, key, r.External)
		p.Volumes[key] = r
	}
	for key, r := range p.Configs {
		r.Name = b.nameOf(r.Name, key, r.External)
		p.Configs[key] = r
	}
	for key, r := range p.Secrets {
		r.Name = b.nameOf(r.Name, key, r.External)
		p.Secrets[key] = r
	}
}

func (b *builder) nameOf(name, key string, external types.External) string {
	switch {
	case name != "":
		return name
	case bool(external):
		return key
	}
	return b.Name + "_" + key
}
