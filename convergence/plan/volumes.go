package plan

import (
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

// VolumeChange is a volume of the project that differs from what is desired. It is kept as it is unless its recreation was agreed
// to, see UpOptions.RecreateVolumes.
type VolumeChange struct {
	Key   string // in the Compose file
	Name  string // in the engine
	Cause string // what differs
}

// ChangedVolumes are the volumes about which somebody may be asked.
func ChangedVolumes(d *desired.Project, s *state.Project) []VolumeChange {
	var out []VolumeChange
	for _, v := range d.Volumes {
		now, there := s.Volumes[v.Name]
		if v.External || !there || now.Project != s.Name {
			continue
		}
		if causes := volumeChanges(now, &v); len(causes) > 0 {
			out = append(out, VolumeChange{Key: v.Key, Name: v.Name, Cause: joinCauses(causes)})
		}
	}
	return out
}

func volumeChanges(now state.Volume, v *desired.Volume) []string {
	return changed(identity{now.Hash, now.ComposeHash, now.Config}, identity{hash: v.Hash, composeHash: v.ComposeHash}, v.Settings)
}

// volume makes sure that the volume is there and returns the operation that creates it, or "". A volume that differs is
// left as it is: what is in it is the user's.
func (u *up) volume(key string) string {
	if id, seen := u.volumes[key]; seen {
		return id
	}
	u.volumes[key] = ""
	v := u.desired.Volume(key)
	if v == nil {
		return ""
	}
	now, there := u.state.Volumes[v.Name]
	switch {
	case v.External && !there:
		u.fail(engine.ErrNotFound, "volume %s is external and is not there; create it, or remove external: true", v.Name)
	case v.External:
	case !there:
		op := &CreateVolume{Options: v.Create}
		u.volumes[key] = u.add("create", op, Subject{Volume, v.Name}, "it is not there")
	case now.Project != u.plan.Project:
		u.note("volume %s is there and belongs to %s; it is used as it is (write external: true)", v.Name, owner(now.Project))
	default:
		if changes := volumeChanges(now, v); len(changes) > 0 {
			u.note("volume %s differs (%s) and is kept as it is; --recreate-volume %s makes it anew, and what is in it is lost", v.Name, joinCauses(changes), v.Key)
		}
	}
	return u.volumes[key]
}

// eviction is a container that makes place for a volume that is made anew: engines refuse to remove a volume as long as a
// container has it, also one that does not run.
type eviction struct{ stopped, removed, cause string }

// consent makes volumes anew whose recreation was agreed to: everybody off, remove, create. It waits for the round in which all
// is known about those who use them.
func (u *up) consent() {
	for _, change := range ChangedVolumes(u.desired, u.state) {
		if !u.options.RecreateVolumes[change.Key] || u.options.Recreate == RecreateNever {
			continue
		}
		users := slices.DeleteFunc(slices.Clone(u.state.Containers), func(c state.Container) bool { return !slices.Contains(c.Volumes, change.Name) })
		if others := u.strangers(users, u.state.Volumes[change.Name].Users); len(others) > 0 {
			u.fail(engine.ErrConflict, "volume %s cannot be made anew: %s; remove that first", change.Name, strings.Join(others, ", "))
			continue
		}
		if !slices.ContainsFunc(users, func(c state.Container) bool { return u.services[c.Service].later }) {
			u.recreateVolume(change, users)
		}
	}
}

// strangers are the users of a volume that are not to be made anew here, in words.
func (u *up) strangers(ours []state.Container, all []string) []string {
	var out []string
	own := make(map[string]bool, len(ours))
	for _, c := range ours {
		own[c.Name] = true
		switch {
		case c.OneOff:
			out = append(out, "container "+c.Name+" uses it, which is not one of its service's own")
		case u.services[c.Service] == nil:
			out = append(out, "container "+c.Name+" uses it, of service "+c.Service+", which is not asked for")
		}
	}
	for _, name := range all {
		if !own[name] {
			out = append(out, "container "+name+" uses it, which is not of this project")
		}
	}
	return out
}

func (u *up) recreateVolume(change VolumeChange, users []state.Container) {
	var removed []string
	cause := "volume " + change.Key + " is made anew"
	stops := stopAll(u.builder, users, u.options.Timeout, cause)
	for _, c := range users {
		e := u.evicted[c.ID]
		e.cause = joinNonEmpty(e.cause, cause)
		e.stopped = stops[c.ID]
		e.removed = u.remove(c, u.options.RenewVolumes, cause, nonEmpty(e.stopped)...)
		if u.evicted == nil {
			u.evicted = make(map[string]eviction)
		}
		u.evicted[c.ID] = e
		removed = append(removed, e.removed)
	}
	v := u.desired.Volume(change.Key)
	gone := u.add("remove", &RemoveVolume{Name: v.Name}, Subject{Volume, v.Name}, change.Cause+"; its recreation was agreed to", removed...)
	u.volumes[change.Key] = u.add("create", &CreateVolume{Options: v.Create}, Subject{Volume, v.Name}, change.Cause, gone)
}

func joinNonEmpty(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

// evict puts the member's new container in the place of the one that makes place for a volume.
func (u *up) evict(s *service, m *member, e eviction) {
	s.made = true
	m.begin, m.why, m.stopped = true, "", e.stopped
	config := m.Config
	if !u.options.RenewVolumes {
		config = inherit(config, m.now.Anonymous)
	}
	m.now, m.cleared = nil, append(m.cleared, e.removed)
	m.ready = []string{u.make(s, m, m.Name, config, e.cause)}
}
