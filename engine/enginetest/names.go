package enginetest

import (
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

var nameCases = []testCase{
	{"a container is found by its name, its ID and a prefix of it", func(f *fixture) {
		name := f.name("c")
		id, err := f.tryCreate(name)
		f.must(err)
		for _, ref := range []string{name, "/" + name, id, id[:12], id[:40]} {
			c, err := f.ContainerInspect(f.ctx, ref)
			if err != nil || c.ID != id || c.Name != "/"+name {
				f.Errorf("inspect %s: container %v, error %v", ref, c.ContainerJSONBase, err)
			}
		}
	}},
	{"an ambiguous prefix is an error", func(f *fixture) {
		first := map[byte]string{}
		for range 17 { // an ID begins with one of 16 digits
			id := f.create()
			if other := first[id[0]]; other != "" && other != id {
				if c, err := f.ContainerInspect(f.ctx, id[:1]); err == nil {
					f.Errorf("%s found %s", id[:1], c.ID)
				}
				return
			}
			first[id[0]] = id
		}
	}},
	{"a name is taken once", func(f *fixture) {
		name := f.name("c")
		id, err := f.tryCreate(name)
		f.must(err)
		_, err = f.tryCreate(name)
		f.wantKind("create", err, engine.ErrConflict)
		f.remove(id)
		_, err = f.tryCreate(name)
		f.must(err)
	}},
	{"an empty name is replaced", func(f *fixture) {
		id, err := f.tryCreate("")
		f.must(err)
		if name := f.inspect(id).Name; len(name) < 2 || name[0] != '/' {
			f.Errorf("its name is %q", name)
		}
	}},
	{"rename", func(f *fixture) {
		name := f.name("renamed")
		id, other := f.create(), f.create()
		f.must(f.ContainerRename(f.ctx, id, name))
		if got := f.inspect(name); got.ID != id {
			f.Errorf("%s is container %s, want %s", name, got.ID, id)
		}
		f.wantKind("rename to a taken name", f.ContainerRename(f.ctx, other, name), engine.ErrConflict)
	}},
	{"a network is found by its name, its ID and a prefix of it", func(f *fixture) {
		name := f.name("n")
		id, err := f.tryNetwork(name, network.CreateOptions{IPAM: ipam(f.subnet())})
		f.must(err)
		for _, ref := range []string{name, id, id[:12]} {
			n, err := f.NetworkInspect(f.ctx, ref, network.InspectOptions{})
			if err != nil || n.ID != id || n.Name != name {
				f.Errorf("inspect %s: network %s %s, error %v", ref, n.ID, n.Name, err)
			}
		}
		_, err = f.tryNetwork(name, network.CreateOptions{IPAM: ipam(f.subnet())})
		f.wantKind("create", err, engine.ErrConflict)
	}},
}

var listCases = []testCase{
	{"containers by label, name, status and network, sorted by name", func(f *fixture) {
		net, _ := f.network()
		running := f.run(config(func(c *container.Config) { c.Labels["role"] = "web" }), on(net, nil))
		created := f.create(config(func(c *container.Config) { c.Labels["role"] = "db" }))
		exited := f.run(command("true"))
		f.wait(exited, "")
		mine := filters.Arg("label", "enginetest="+f.prefix)
		for _, c := range []struct {
			what string
			all  bool
			args []filters.KeyValuePair
			want []string
		}{
			{"running ones", false, nil, []string{running}},
			{"all", true, nil, []string{running, created, exited}},
			{"label with value", true, []filters.KeyValuePair{filters.Arg("label", "role=db")}, []string{created}},
			{"label", true, []filters.KeyValuePair{filters.Arg("label", "role")}, []string{running, created}},
			{"name", true, []filters.KeyValuePair{filters.Arg("name", f.inspect(created).Name)}, []string{created}},
			{"ID", true, []filters.KeyValuePair{filters.Arg("id", exited)}, []string{exited}},
			{"status", false, []filters.KeyValuePair{filters.Arg("status", "exited")}, []string{exited}},
			{"two statuses", false, []filters.KeyValuePair{filters.Arg("status", "exited"), filters.Arg("status", "created")}, []string{created, exited}},
			{"network", true, []filters.KeyValuePair{filters.Arg("network", net)}, []string{running}},
			{"nothing", true, []filters.KeyValuePair{filters.Arg("label", "role=none")}, nil},
		} {
			args := filters.NewArgs(append(c.args, mine)...)
			list, err := f.ContainerList(f.ctx, container.ListOptions{All: c.all, Filters: args})
			f.must(err)
			got := ids(list)
			if !slices.IsSorted(names(list)) {
				f.Errorf("%s: not sorted: %v", c.what, names(list))
			}
			if !sameSet(got, c.want) {
				f.Errorf("%s: got %v, want %v", c.what, got, c.want)
			}
		}
	}},
	{"a container's summary says what it is", func(f *fixture) {
		id := f.run(sh("sleep 1000"))
		list, err := f.ContainerList(f.ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("id", id))})
		f.must(err)
		if len(list) != 1 {
			f.Fatalf("got %d containers, want 1", len(list))
		}
		c := list[0]
		if c.Image != f.Image || c.State != container.StateRunning || !strings.HasPrefix(c.Status, "Up") ||
			c.Created == 0 || c.Labels["enginetest"] != f.prefix || !strings.Contains(c.Command, "sleep 1000") ||
			c.NetworkSettings == nil || c.NetworkSettings.Networks["bridge"] == nil {
			f.Errorf("got %+v", c)
		}
	}},
	{"networks by label and name", func(f *fixture) {
		name := f.name("n")
		_, err := f.tryNetwork(name, network.CreateOptions{IPAM: ipam(f.subnet()), Labels: map[string]string{"l": f.prefix}})
		f.must(err)
		for _, arg := range []filters.KeyValuePair{filters.Arg("label", "l="+f.prefix), filters.Arg("name", name)} {
			list, err := f.NetworkList(f.ctx, network.ListOptions{Filters: filters.NewArgs(arg)})
			f.must(err)
			if len(list) != 1 || list[0].Name != name || list[0].Labels["l"] != f.prefix {
				f.Errorf("by %s: got %+v", arg.Key, list)
			}
		}
	}},
	{"the standard networks are there", func(f *fixture) {
		list, err := f.NetworkList(f.ctx, network.ListOptions{})
		f.must(err)
		drivers := map[string]string{}
		for _, n := range list {
			drivers[n.Name] = n.Driver
		}
		if drivers["bridge"] != "bridge" || drivers["host"] != "host" || drivers["none"] != "null" {
			f.Errorf("drivers by name: %v", drivers)
		}
	}},
	{"volumes by label and name", func(f *fixture) {
		name := f.volume()
		for _, arg := range []filters.KeyValuePair{filters.Arg("label", "enginetest="+f.prefix), filters.Arg("name", name)} {
			list, err := f.VolumeList(f.ctx, volume.ListOptions{Filters: filters.NewArgs(arg)})
			f.must(err)
			if len(list) != 1 || list[0].Name != name {
				f.Errorf("by %s: got %+v", arg.Key, list)
			}
		}
	}},
}

func ids(list []container.Summary) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.ID)
	}
	return out
}

func names(list []container.Summary) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Names[0])
	}
	return out
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
