package enginetest

import (
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

var errorCases = []testCase{
	{"what is not there is not found", func(f *fixture) {
		const none = "enginetest-none"
		for what, call := range missing(f, none) {
			err := call()
			f.wantKind(what, err, engine.ErrNotFound)
			if err != nil && !strings.Contains(err.Error(), none) {
				f.Errorf("%s: the error does not name it: %v", what, err)
			}
		}
	}},
	{"the image of a container is not there", func(f *fixture) {
		_, err := f.tryCreate(f.name("c"), config(func(c *container.Config) { c.Image = "enginetest-none:latest" }))
		f.wantKind("create", err, engine.ErrNotFound)
	}},
	{"the network of a container is not there", func(f *fixture) {
		id, err := f.tryCreate(f.name("c"), on("enginetest-none", nil))
		if err == nil { // Docker notices when it starts
			err = f.ContainerStart(f.ctx, id)
		}
		f.wantKind("create or start", err, engine.ErrNotFound)
	}},
	{"what makes no sense is invalid", func(f *fixture) {
		id := f.run()
		for what, call := range invalid(f, id) {
			f.wantKind(what, call(), engine.ErrInvalid)
		}
	}},
	{"a network driver that is not there is invalid", func(f *fixture) {
		// Docker looks for a plugin for 15 seconds.
		_, err := f.tryNetwork(f.name("n"), network.CreateOptions{Driver: "no-such-driver"})
		f.wantKind("create", err, engine.ErrInvalid)
	}},
	{"what the state does not allow is a conflict", func(f *fixture) {
		id := f.create()
		f.wantKind("kill", f.ContainerKill(f.ctx, id, "KILL"), engine.ErrConflict)
		f.wantKind("pause", f.ContainerPause(f.ctx, id), engine.ErrConflict)
		f.must(f.ContainerRemove(f.ctx, id, container.RemoveOptions{}))
	}},
	{"the standard networks cannot be removed", func(f *fixture) {
		if err := f.NetworkRemove(f.ctx, "bridge"); err == nil {
			f.Error("no error")
		}
	}},
}

// missing calls every method with an object that is not there.
func missing(f *fixture, none string) map[string]func() error {
	two := func(_ any, err error) error { return err }
	return map[string]func() error{
		"ContainerInspect": func() error { return two(f.ContainerInspect(f.ctx, none)) },
		"ContainerStart":   func() error { return f.ContainerStart(f.ctx, none) },
		"ContainerStop":    func() error { return f.ContainerStop(f.ctx, none, container.StopOptions{}) },
		"ContainerRestart": func() error { return f.ContainerRestart(f.ctx, none, container.StopOptions{}) },
		"ContainerKill":    func() error { return f.ContainerKill(f.ctx, none, "KILL") },
		"ContainerPause":   func() error { return f.ContainerPause(f.ctx, none) },
		"ContainerUnpause": func() error { return f.ContainerUnpause(f.ctx, none) },
		"ContainerRename":  func() error { return f.ContainerRename(f.ctx, none, f.name("c")) },
		"ContainerRemove":  func() error { return f.ContainerRemove(f.ctx, none, container.RemoveOptions{}) },
		"ContainerWait": func() error {
			_, errs := f.ContainerWait(f.ctx, none, "")
			return <-errs
		},
		"ContainerLogs": func() error {
			for _, err := range f.ContainerLogs(f.ctx, none, bothStreams) {
				return err
			}
			return nil
		},
		"ContainerAttach": func() error { return f.ContainerAttach(f.ctx, none, engine.AttachOptions{}) },
		"ContainerResize": func() error {
			return f.ContainerResize(f.ctx, none, container.ResizeOptions{Width: 80, Height: 25})
		},
		"ContainerTop":    func() error { return two(f.ContainerTop(f.ctx, none, nil)) },
		"ContainerStats":  func() error { return two(f.ContainerStats(f.ctx, none)) },
		"ContainerUpdate": func() error { return two(f.ContainerUpdate(f.ctx, none, container.UpdateConfig{})) },
		"ExecCreate":      func() error { return two(f.ExecCreate(f.ctx, none, container.ExecOptions{Cmd: []string{"true"}})) },
		"ExecStart":       func() error { return f.ExecStart(f.ctx, none, false, engine.AttachOptions{}) },
		"ExecInspect":     func() error { return two(f.ExecInspect(f.ctx, none)) },
		"StatPath":        func() error { return two(f.StatPath(f.ctx, none, "/")) },
		"CopyFrom": func() error {
			_, _, err := f.CopyFrom(f.ctx, none, "/")
			return err
		},
		"CopyTo":            func() error { return f.CopyTo(f.ctx, none, "/", tarOf(f, nil), container.CopyToContainerOptions{}) },
		"CompareFiles":      func() error { return two(f.CompareFiles(f.ctx, none, nil)) },
		"SyncFiles":         func() error { return f.SyncFiles(f.ctx, none, tarOf(f, nil), engine.SyncOptions{}) },
		"SyncFiles, more":   func() error { return f.trySync(none, []string{"/a"}, regular("/b", "1")) },
		"NetworkInspect":    func() error { return two(f.NetworkInspect(f.ctx, none, network.InspectOptions{})) },
		"NetworkRemove":     func() error { return f.NetworkRemove(f.ctx, none) },
		"NetworkConnect":    func() error { return f.NetworkConnect(f.ctx, none, f.run(), nil) },
		"NetworkDisconnect": func() error { return f.NetworkDisconnect(f.ctx, none, f.run(), false) },
		"VolumeInspect":     func() error { return two(f.VolumeInspect(f.ctx, none)) },
		"VolumeRemove":      func() error { return f.VolumeRemove(f.ctx, none, false) },
		"ImageInspect":      func() error { return two(f.ImageInspect(f.ctx, none)) },
		"ImageHistory":      func() error { return two(f.ImageHistory(f.ctx, none)) },
		"ImageTag":          func() error { return f.ImageTag(f.ctx, none, f.name("i")) },
		"ImageRemove":       func() error { return two(f.ImageRemove(f.ctx, none, image.RemoveOptions{})) },
	}
}

// invalid makes requests that no engine can carry out. id is a running container.
func invalid(f *fixture, id string) map[string]func() error {
	create := func(name string, opts ...option) func() error {
		return func() error {
			_, err := f.tryCreate(name, opts...)
			return err
		}
	}
	makeNetwork := func(opts network.CreateOptions) func() error {
		return func() error {
			_, err := f.tryNetwork(f.name("n"), opts)
			return err
		}
	}
	return map[string]func() error{
		"container name": create("not a name"),
		"restart policy": create(f.name("c"), restart("sometimes", 0)),
		"no command":     create(f.name("c"), command(), config(func(c *container.Config) { c.Entrypoint = []string{""} })),
		"mount target":   create(f.name("c"), bind("volume:relative")),
		"signal":         func() error { return f.ContainerKill(f.ctx, id, "NONSENSE") },
		"subnet":         makeNetwork(network.CreateOptions{IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: "10.1.2.3.4/24"}}}}),
		"archive of files": func() error {
			return f.CopyTo(f.ctx, id, "/tmp", strings.NewReader(strings.Repeat("no tar ", 200)), container.CopyToContainerOptions{})
		},
		"volume name": func() error {
			_, err := f.VolumeCreate(f.ctx, volume.CreateOptions{Name: "not/a/name"})
			return err
		},
		"overlapping subnet": func() error {
			_, subnet := f.network()
			_, err := f.tryNetwork(f.name("n"), network.CreateOptions{IPAM: ipam(subnet)})
			return err
		},
	}
}

var concurrencyCases = []testCase{
	{"20 containers at once", func(f *fixture) {
		net, _ := f.network()
		configs := make([]string, 20)
		for i := range configs {
			configs[i] = f.name("c")
		}
		addresses := make([]string, len(configs))
		var all sync.WaitGroup
		for i, name := range configs {
			all.Go(func() {
				made, err := f.ContainerCreate(f.ctx, name, f.config(on(net, nil)))
				if err == nil {
					f.Cleanup(func() { f.remove(made.ID) })
					err = f.ContainerStart(f.ctx, made.ID)
				}
				if err != nil {
					f.Error(err)
					return
				}
				c, err := f.ContainerInspect(f.ctx, made.ID)
				if err != nil || !c.State.Running {
					f.Errorf("%s: %v", name, err)
					return
				}
				addresses[i] = c.NetworkSettings.Networks[net].IPAddress
			})
		}
		all.Wait()
		seen := map[string]bool{}
		for _, address := range addresses {
			if seen[address] {
				f.Errorf("the address %s was given twice", address)
			}
			seen[address] = true
		}
	}},
	{"one name wanted by many is given once", func(f *fixture) {
		name := f.name("c")
		created := make(chan string, 10)
		var all sync.WaitGroup
		for range cap(created) {
			all.Go(func() {
				if made, err := f.ContainerCreate(f.ctx, name, f.config()); err == nil {
					created <- made.ID
				}
			})
		}
		all.Wait()
		close(created)
		var got []string
		for id := range created {
			f.Cleanup(func() { f.remove(id) })
			got = append(got, id)
		}
		if len(got) != 1 {
			f.Errorf("%d have it", len(got))
		}
	}},
	{"one container, everything at once", func(f *fixture) {
		id := f.run()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { _ = f.ContainerStart(f.ctx, id) })
			all.Go(func() { _ = f.ContainerStop(f.ctx, id, zeroTimeout()) })
			all.Go(func() { _, _ = f.ContainerInspect(f.ctx, id) })
			all.Go(func() { _ = f.ContainerKill(f.ctx, id, "KILL") })
		}
		all.Wait()
		f.must(f.ContainerStop(f.ctx, id, zeroTimeout()))
		if s := f.inspect(id).State; s.Running || s.Pid != 0 {
			f.Errorf("state is %+v", s)
		}
	}},
}
