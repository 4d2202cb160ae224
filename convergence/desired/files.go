package desired

import (
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/project"
)

// reference is a config or a secret as a service uses it.
type reference struct {
	types.FileReferenceConfig
	kind   string // "configs" or "secrets"
	index  int
	object types.FileObjectConfig
	path   string // in the container
}

// references lists the service's configs, then its secrets, with their places in the container.
func (s *serviceBuilder) references() []reference {
	var out []reference
	for i, c := range s.Configs {
		r := reference{FileReferenceConfig: types.FileReferenceConfig(c), kind: "configs", index: i}
		r.object = types.FileObjectConfig(s.b.project.Configs[c.Source])
		r.path = rooted("/", r.Target, r.Source)
		out = append(out, r)
	}
	for i, c := range s.Secrets {
		r := reference{FileReferenceConfig: types.FileReferenceConfig(c), kind: "secrets", index: i}
		r.object = types.FileObjectConfig(s.b.project.Secrets[c.Source])
		r.path = rooted("/run/secrets/", r.Target, r.Source)
		out = append(out, r)
	}
	return out
}

func rooted(dir, target, source string) string {
	if target == "" {
		target = source
	}
	if strings.HasPrefix(target, "/") {
		return target
	}
	return dir + target
}

// mounted says whether the file of the host is mounted as it is. Where an owner or a mode is stated, or where there is no
// file, the content is copied into the container instead.
func (r reference) mounted() bool {
	return r.object.File != "" && r.UID == "" && r.GID == "" && r.Mode == nil
}

func (s *serviceBuilder) fileMounts() []mount.Mount {
	var out []mount.Mount
	for _, r := range s.references() {
		if r.mounted() {
			out = append(out, mount.Mount{Type: mount.TypeBind, Source: r.object.File, Target: r.path, ReadOnly: true})
		}
	}
	return out
}

// files are the contents to copy. Of mounted files the content is part of the settings only, so that a change of it
// recreates the container; see containerSettings.
func (s *serviceBuilder) files() []File {
	var out []File
	for _, r := range s.references() {
		if bool(r.object.External) {
			continue // refused as such
		}
		content, ok := s.b.in.Contents[project.ContentKey(r.kind, r.Source)]
		if !ok && s.b.in.Contents != nil {
			s.mistake("cannot read the content of "+r.Source, "", r.kind, strconv.Itoa(r.index))
			continue
		}
		f := File{Path: r.path, Content: content, Mounted: r.mounted(), Mode: 0o444}
		if r.Mode != nil {
			f.Mode = int64(*r.Mode) &^ 0o222 // nobody writes to it, whatever is stated
		}
		f.UID, f.GID = s.id(r, "uid", r.UID), s.id(r, "gid", r.GID)
		out = append(out, f)
	}
	return append(out, s.credentials()...)
}

func (s *serviceBuilder) id(r reference, attribute, text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		s.mistake(attribute+" "+strconv.Quote(text)+" is not a number", "write the numeric ID", r.kind, strconv.Itoa(r.index), attribute)
	}
	return n
}
