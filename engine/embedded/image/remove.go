package image

import (
	"context"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine"
)

// Tag implements engine.Images.
func (s *Store) Tag(ctx context.Context, source, target string) error {
	ctx = s.context(ctx)
	named, err := parseTag(target)
	if err != nil {
		return err
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	e, _, err := s.find(ctx, source)
	if err != nil {
		return err
	}
	return s.name(ctx, e, []string{named.String()})
}

// Remove implements engine.Images. inUse says which containers were made from the image with that ID; nil stands for
// none. An image that a running container uses is never removed, one that a stopped one uses only with opts.Force. What
// containers use of it stays on the disk as long as they do: before the first call after a restart, snapshot.Store.Lower
// must have been called for all of them.
func (s *Store) Remove(ctx context.Context, ref string, opts image.RemoveOptions, inUse func(id string) []Use) ([]image.DeleteResponse, error) {
	ctx = s.context(ctx)
	s.snapshots.Settle()
	s.naming.Lock()
	defer s.naming.Unlock()
	e, name, err := s.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	going, err := e.namesGoing(ref, name, opts.Force)
	if err != nil {
		return nil, err
	}
	last := len(going) == len(e.names)
	if last && inUse != nil {
		if err := checkUse(ref, e.id, inUse(e.id), opts.Force); err != nil {
			return nil, err
		}
	}
	var out []image.DeleteResponse
	for _, name := range going {
		if err := s.drop(ctx, name); err != nil {
			return out, err
		}
		if short, _ := familiar(name); short != "" {
			out = append(out, image.DeleteResponse{Untagged: short})
		}
	}
	if last {
		out = append(out, image.DeleteResponse{Deleted: e.id})
		s.snapshots.Collect()
	}
	return out, nil
}

// namesGoing decides which records go when the image is removed by that reference. With the last tag of a repository the
// repository's digests go too: they cannot be seen any more.
func (e entry) namesGoing(ref, name string, force bool) ([]string, error) {
	if name == "" {
		if tags := e.tags(); len(tags) > 1 && !force {
			return nil, engine.Errorf(engine.ErrConflict, "cannot remove image %s: it has the names %s; remove them one by one or use force", ref, strings.Join(tags, ", "))
		}
		return e.names, nil
	}
	going := []string{name}
	repo, tags := repoOf(name), 0
	for _, n := range e.names {
		if _, digested := familiar(n); !digested && repoOf(n) == repo {
			tags++
		}
	}
	if _, digested := familiar(name); digested || tags > 1 {
		return going, nil
	}
	for _, n := range e.names {
		if n != name && repoOf(n) == repo {
			going = append(going, n)
		}
	}
	return going, nil
}

func repoOf(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.TrimNamed(named).Name()
}

func checkUse(ref, id string, uses []Use, force bool) error {
	for _, u := range uses {
		if u.Running {
			return engine.Errorf(engine.ErrConflict, "cannot remove image %s: container %s is running on %s", ref, u.Container, short(id))
		}
	}
	if len(uses) > 0 && !force {
		return engine.Errorf(engine.ErrConflict, "cannot remove image %s: container %s uses %s; remove the container or use force", ref, uses[0].Container, short(id))
	}
	return nil
}

// short is the short form of an ID.
func short(id string) string {
	hex := strings.TrimPrefix(id, "sha256:")
	return hex[:min(12, len(hex))]
}
