package memory

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// vol is a volume.
type vol struct {
	volume.Volume
	tree      *memTree
	anonymous bool
}

var validVolume = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// VolumeCreate implements engine.Volumes.
func (e *Engine) VolumeCreate(ctx context.Context, opts volume.CreateOptions) (volume.Volume, error) {
	if err := e.enter(ctx, "VolumeCreate", opts.Name); err != nil {
		return volume.Volume{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v, err := e.makeVolume(opts)
	if err != nil {
		return volume.Volume{}, err
	}
	return *copied(&v.Volume), nil
}

func (e *Engine) makeVolume(opts volume.CreateOptions) (*vol, error) {
	name := opts.Name
	if name == "" {
		name = e.newID("volume")
	}
	driver := first(opts.Driver, "local")
	switch old := e.volumes[name]; {
	case old != nil && (old.Driver != driver || len(opts.DriverOpts) > 0 && !maps.Equal(old.Options, opts.DriverOpts)):
		return nil, engine.Errorf(engine.ErrConflict, "cannot create volume %s: it exists with another driver or other options", name)
	case old != nil:
		return old, nil
	case !validVolume.MatchString(name):
		return nil, engine.Errorf(engine.ErrInvalid, "cannot name a volume %q: only letters, digits, '_', '.' and '-' are allowed", name)
	case driver != "local":
		return nil, engine.Errorf(engine.ErrInvalid, "cannot create volume %s: there is no driver %q", name, driver)
	}
	v := &vol{tree: newTree(), anonymous: opts.Name == "", Volume: volume.Volume{
		Name: name, Driver: driver, Scope: "local", CreatedAt: stamp(now()), Mountpoint: "/memory/volumes/" + name,
		Labels: maps.Clone(opts.Labels), Options: maps.Clone(opts.DriverOpts),
	}}
	e.volumes[name] = v
	e.volumeEvent(v, events.ActionCreate)
	return v, nil
}

func (e *Engine) volumeEvent(v *vol, action events.Action) {
	e.events.publish(events.VolumeEventType, action, v.Name, map[string]string{"driver": v.Driver})
}

// VolumeList implements engine.Volumes.
func (e *Engine) VolumeList(ctx context.Context, opts volume.ListOptions) ([]volume.Volume, error) {
	if err := e.enter(ctx, "VolumeList", ""); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []volume.Volume
	for _, name := range slices.Sorted(maps.Keys(e.volumes)) {
		v, args := e.volumes[name], opts.Filters
		if args.Match("name", name) && args.ExactMatch("driver", v.Driver) && args.MatchKVList("label", v.Labels) &&
			(!args.Contains("dangling") || args.ExactMatch("dangling", strconv.FormatBool(!e.volumeUsed(name)))) {
			list = append(list, *copied(&v.Volume))
		}
	}
	return list, nil
}

func (e *Engine) volume(name string) (*vol, error) {
	if v := e.volumes[name]; v != nil {
		return v, nil
	}
	return nil, engine.Errorf(engine.ErrNotFound, "cannot find volume %s: no such volume", name)
}

// VolumeInspect implements engine.Volumes.
func (e *Engine) VolumeInspect(ctx context.Context, name string) (volume.Volume, error) {
	if err := e.enter(ctx, "VolumeInspect", name); err != nil {
		return volume.Volume{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v, err := e.volume(name)
	if err != nil {
		return volume.Volume{}, err
	}
	return *copied(&v.Volume), nil
}

// VolumeRemove implements engine.Volumes.
func (e *Engine) VolumeRemove(ctx context.Context, name string, force bool) error {
	if err := e.enter(ctx, "VolumeRemove", name); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v, err := e.volume(name)
	if err != nil {
		if force {
			return nil
		}
		return err
	}
	if e.volumeUsed(name) {
		return engine.Errorf(engine.ErrConflict, "cannot remove volume %s: a container uses it", name)
	}
	e.removeVolume(v)
	return nil
}

func (e *Engine) removeVolume(v *vol) {
	delete(e.volumes, v.Name)
	e.volumeEvent(v, events.ActionDestroy)
}

func (e *Engine) volumeUsed(name string) bool {
	for _, c := range e.containers {
		for _, m := range c.mounts {
			if m.Type == mount.TypeVolume && m.Name == name {
				return true
			}
		}
	}
	return false
}

// wish is a mount that a container asks for.
type wish struct {
	mount.Mount
	noCopy bool
}

// mountAll resolves a new container's mounts: its own, those of other containers, and the volumes of its image.
func (e *Engine) mountAll(c *ctr) error {
	wishes, err := c.wishes()
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, w := range wishes {
		if taken[w.Target] {
			return engine.Errorf(engine.ErrInvalid, "cannot create container %s: duplicate mount point %s", c.name, w.Target)
		}
		taken[w.Target] = true
		if err := e.mount(c, w); err != nil {
			return err
		}
	}
	if err := e.mountFromOthers(c, taken); err != nil {
		return err
	}
	for _, at := range slices.Sorted(maps.Keys(c.config.Volumes)) {
		if at = path.Clean(at); !taken[at] {
			if err := e.mount(c, wish{Mount: mount.Mount{Type: mount.TypeVolume, Target: at}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// wishes reads binds, mounts and tmpfs of a container's configuration.
func (c *ctr) wishes() ([]wish, error) {
	var all []wish
	for _, bind := range c.host.Binds {
		fields := strings.Split(bind, ":")
		if len(fields) == 1 {
			fields = []string{"", fields[0]}
		}
		w := wish{Mount: mount.Mount{Type: mount.TypeVolume, Source: fields[0], Target: fields[1]}}
		if path.IsAbs(fields[0]) {
			w.Type = mount.TypeBind
		}
		if len(fields) > 2 {
			options := strings.Split(fields[2], ",")
			w.ReadOnly, w.noCopy = slices.Contains(options, "ro"), slices.Contains(options, "nocopy")
		}
		all = append(all, w)
	}
	for _, m := range c.host.Mounts {
		all = append(all, wish{m, m.VolumeOptions != nil && m.VolumeOptions.NoCopy})
	}
	for at := range c.host.Tmpfs {
		all = append(all, wish{Mount: mount.Mount{Type: mount.TypeTmpfs, Target: at}})
	}
	for i, w := range all {
		if !path.IsAbs(w.Target) {
			return nil, engine.Errorf(engine.ErrInvalid, "cannot create container %s: the mount path %q is not absolute", c.name, w.Target)
		}
		all[i].Target = path.Clean(w.Target)
	}
	return all, nil
}

func (e *Engine) mount(c *ctr, w wish) error {
	point := container.MountPoint{Type: w.Type, Source: w.Source, Destination: w.Target, RW: !w.ReadOnly}
	switch w.Type {
	case mount.TypeTmpfs:
		c.tmpfs = append(c.tmpfs, w.Target)
		return nil
	case mount.TypeBind:
		tree, err := bound(w)
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot create container %s: %w", c.name, err)
		}
		c.trees = append(c.trees, mountPoint{at: w.Target, tree: tree, readOnly: w.ReadOnly})
		point.Propagation = mount.PropagationRPrivate
	case mount.TypeVolume:
		v, err := e.makeVolume(volume.CreateOptions{Name: w.Source})
		if err != nil {
			return err
		}
		if !w.noCopy {
			copyUp(v, c.root, strings.TrimPrefix(w.Target, "/"))
		}
		c.trees = append(c.trees, mountPoint{at: w.Target, tree: v.tree, readOnly: w.ReadOnly})
		point.Name, point.Source, point.Driver = v.Name, v.Mountpoint, v.Driver
	default:
		return engine.Errorf(engine.ErrUnsupported, "cannot create container %s: mounts of type %q are not supported", c.name, w.Type)
	}
	c.mounts = append(c.mounts, point)
	return nil
}

// bound opens what is bind-mounted: a directory of the host, or the directory of a file.
func bound(w wish) (tree, error) {
	info, err := os.Stat(w.Source)
	if os.IsNotExist(err) && (w.BindOptions == nil || w.BindOptions.CreateMountpoint) {
		err = os.MkdirAll(w.Source, 0o755)
		if err == nil {
			info, err = os.Stat(w.Source)
		}
	}
	if err != nil {
		return nil, err
	}
	dir := w.Source
	if !info.IsDir() {
		dir = filepath.Dir(w.Source)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return fileTree{hostTree{root}, filepath.Base(w.Source)}, nil
	}
	return hostTree{root}, nil
}

// fileTree is one file of the host.
type fileTree struct {
	dir  hostTree
	name string
}

func (t fileTree) get(name string) (node, bool) {
	if name != "" {
		return node{}, false
	}
	return t.dir.get(t.name)
}

func (t fileTree) put(name string, n node) error {
	if name != "" {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return t.dir.put(t.name, n)
}

func (t fileTree) chmod(_ string, mode fs.FileMode) error { return t.dir.chmod(t.name, mode) }

func (t fileTree) remove(string) error { return fs.ErrPermission }

func (t fileTree) children(string) []string { return nil }

// copyUp fills an empty volume with what the image has at its place.
func copyUp(v *vol, image *memTree, at string) {
	if len(v.tree.children("")) > 0 {
		return
	}
	image.mu.RLock()
	defer image.mu.RUnlock()
	for name, n := range image.nodes {
		if rest, ok := strings.CutPrefix(name+"/", at+"/"); ok && (n.mode.IsDir() || rest != "") {
			v.tree.nodes[strings.TrimSuffix(rest, "/")] = n
		}
	}
}

// mountFromOthers adds the mounts of other containers: "container" or "container:ro".
func (e *Engine) mountFromOthers(c *ctr, taken map[string]bool) error {
	for _, from := range c.host.VolumesFrom {
		ref, mode, _ := strings.Cut(from, ":")
		other, err := e.container(ref)
		if err != nil {
			return err
		}
		for _, m := range other.mounts {
			if taken[m.Destination] {
				continue
			}
			taken[m.Destination] = true
			m.RW = m.RW && mode != "ro"
			c.mounts = append(c.mounts, m)
		}
		for _, t := range other.trees {
			t.readOnly = t.readOnly || mode == "ro"
			c.trees = append(c.trees, t)
		}
	}
	return nil
}

// files is what a container sees, with fresh tmpfs mounts.
func (c *ctr) files() *vfs {
	v := &vfs{mounts: []mountPoint{{at: "/", tree: c.root, readOnly: c.host.ReadonlyRootfs}}}
	v.mounts = append(v.mounts, c.trees...)
	for _, at := range c.tmpfs {
		v.mounts = append(v.mounts, mountPoint{at: at, tree: newTree()})
	}
	return v
}
