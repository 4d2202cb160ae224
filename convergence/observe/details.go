package observe

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

// listedDetails takes from the list what the engine has put there.
func listedDetails(c *state.Container, s *container.Summary) {
	if d, ok := engine.DetailsOf(s); ok {
		c.RestartCount, c.StartedAt = d.RestartCount, d.StartedAt
		host := d.Host()
		c.Joins, c.Mutable = joins(host), reported(host, s.NetworkSettings.Networks)
	}
}

// reported is not nil, also if nothing is set: that is known then.
func reported(host *container.HostConfig, endpoints map[string]*network.EndpointSettings) desired.Settings {
	if s := desired.Reported(host, endpoints); s != nil {
		return s
	}
	return desired.Settings{}
}

// details looks at each container of which the list does not tell enough, and leaves out those that have gone meanwhile. One-off
// containers are nobody's to change.
func (o *observer) details(list []state.Container) ([]state.Container, error) {
	if !slices.ContainsFunc(list, unseen) {
		return list, nil
	}
	gone, errs := make([]bool, len(list)), make([]error, len(list))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(atOnce, len(list)) {
		workers.Go(func() {
			for i := range next {
				found, err := o.engine.ContainerInspect(o.ctx, list[i].ID)
				switch {
				case errors.Is(err, engine.ErrNotFound):
					gone[i] = true
				case err != nil:
					errs[i] = err
				default:
					detail(&list[i], &found)
				}
			}
		})
	}
	for i := range list {
		if unseen(list[i]) {
			next <- i
		}
	}
	close(next)
	workers.Wait()
	i := -1
	list = slices.DeleteFunc(list, func(state.Container) bool { i++; return gone[i] })
	return list, errors.Join(errs...)
}

func unseen(c state.Container) bool { return !c.OneOff && c.Mutable == nil }

func detail(c *state.Container, found *container.InspectResponse) {
	if found.ContainerJSONBase == nil {
		return
	}
	c.RestartCount = found.RestartCount
	if found.State != nil {
		c.StartedAt = startedAt(found.State.StartedAt)
	}
	c.Joins = joins(found.HostConfig)
	if found.HostConfig != nil && found.NetworkSettings != nil {
		c.Mutable = reported(found.HostConfig, found.NetworkSettings.Networks)
	}
}

// joins are the containers whose namespaces are entered.
func joins(host *container.HostConfig) []string {
	if host == nil {
		return nil
	}
	var out []string
	for _, mode := range []string{string(host.NetworkMode), string(host.IpcMode), string(host.PidMode)} {
		if ref, ok := strings.CutPrefix(mode, "container:"); ok {
			out = append(out, ref)
		}
	}
	return out
}

// startedAt reads the time of a start. Engines write the year 1 for never.
func startedAt(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() <= 1 {
		return time.Time{}
	}
	return at
}

// madeWith is what would make the network again.
func madeWith(n *network.Inspect) network.CreateOptions {
	out := network.CreateOptions{
		Driver: n.Driver, EnableIPv6: &n.EnableIPv6, Internal: n.Internal, Attachable: n.Attachable, Options: n.Options, Labels: n.Labels,
	}
	if len(n.IPAM.Config) > 0 || n.IPAM.Driver != "" {
		out.IPAM = &n.IPAM
	}
	return out
}

// users finds out who is on the network, which stands in the way of its removal, and how it was made.
func (o *observer) users(name, id string) error {
	found, err := o.engine.NetworkInspect(o.ctx, id, network.InspectOptions{})
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var users []string
	for _, endpoint := range found.Containers {
		users = append(users, endpoint.Name)
	}
	slices.Sort(users)
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.out.Networks[name]
	n.Users, n.Made = users, madeWith(&found)
	o.out.Networks[name] = n
	return nil
}

// volumeUsers finds out who has a volume that is not as it is wanted, which stands in the way of its removal.
func (o *observer) volumeUsers(want *desired.Volume) error {
	o.mu.Lock()
	v := o.out.Volumes[want.Name]
	o.mu.Unlock()
	if !o.closely || want.External || v.Hash == want.Hash {
		return nil
	}
	list, err := o.engine.ContainerList(o.ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("volume", want.Name))})
	if err != nil {
		return err
	}
	for i := range list {
		v.Users = append(v.Users, containerOf(&list[i]).Name)
	}
	slices.Sort(v.Users)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out.Volumes[want.Name] = v
	return nil
}
