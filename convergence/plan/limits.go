package plan

import (
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/desired"
)

// limits compares what an engine changes of a container that stays: its restart policy and its limits.
type limits struct {
	made, now, want desired.Settings // by the labels, by the engine, by the file

	update   container.UpdateConfig
	changes  []desired.Change // what update changes
	recreate []desired.Change // what an engine cannot take back
}

// limit is one setting that an UpdateContainer sets.
type limit struct {
	name string
	set  func(u *container.UpdateConfig, value int64)
}

var allLimits = []limit{
	{name: "BlkioWeight", set: func(u *container.UpdateConfig, v int64) { u.BlkioWeight = uint16(v) }}, //nolint:gosec // at most 1000
	{name: "CPUPeriod", set: func(u *container.UpdateConfig, v int64) { u.CPUPeriod = v }},
	{name: "CPUQuota", set: func(u *container.UpdateConfig, v int64) { u.CPUQuota = v }},
	{name: "CPUShares", set: func(u *container.UpdateConfig, v int64) { u.CPUShares = v }},
	{name: "Memory", set: func(u *container.UpdateConfig, v int64) { u.Memory = v }},
	{name: "MemoryReservation", set: func(u *container.UpdateConfig, v int64) { u.MemoryReservation = v }},
	{name: "MemorySwap", set: func(u *container.UpdateConfig, v int64) { u.MemorySwap = v }},
	{name: "NanoCPUs", set: func(u *container.UpdateConfig, v int64) { u.NanoCPUs = v }},
	{name: "PidsLimit", set: func(u *container.UpdateConfig, v int64) { u.PidsLimit = &v }},
}

// together are settings that engines check against each other: who changes one states the others too.
var together = map[string][]string{
	"Memory": {"MemorySwap", "MemoryReservation"}, "MemorySwap": {"Memory", "MemoryReservation"}, "MemoryReservation": {"Memory", "MemorySwap"},
	"CPUPeriod": {"CPUQuota"}, "CPUQuota": {"CPUPeriod"},
}

func compareLimits(made, now, want desired.Settings) *limits {
	l := &limits{made: made, now: now, want: want}
	l.restartPolicy()
	for _, one := range allLimits {
		l.compare(one)
	}
	l.cpuset("CpusetCpus", &l.update.CpusetCpus)
	l.cpuset("CpusetMems", &l.update.CpusetMems)
	return l
}

// restartPolicy compares what every engine knows and can take back: no policy is one too.
func (l *limits) restartPolicy() {
	was, is := policyOf(l.now), policyOf(l.want)
	if was == is {
		return
	}
	l.update.RestartPolicy = is
	l.changes = append(l.changes, desired.Change{Name: "RestartPolicy", Was: policyText(was), Is: policyText(is), Had: true, Has: true})
}

func policyOf(s desired.Settings) container.RestartPolicy {
	name, _ := s.Get("RestartPolicy.Name")
	out := container.RestartPolicy{Name: container.RestartPolicyMode(name)}
	switch {
	case name == "":
		out.Name = container.RestartPolicyDisabled
	case out.IsOnFailure():
		tries, _ := number(s, "RestartPolicy.MaximumRetryCount")
		out.MaximumRetryCount = int(tries)
	}
	return out
}

func policyText(p container.RestartPolicy) string {
	if p.MaximumRetryCount == 0 {
		return string(p.Name)
	}
	return string(p.Name) + ":" + strconv.Itoa(p.MaximumRetryCount)
}

func (l *limits) compare(one limit) {
	now, has := number(l.now, one.name)
	want, wanted := number(l.want, one.name)
	switch {
	case now == want && has == wanted, one.name == "PidsLimit" && now <= 0 && want <= 0:
	case wanted && l.ignored(one.name, has, now):
	case wanted:
		l.set(one, want)
	case l.filledIn(one.name, now):
	case one.name == "PidsLimit":
		l.set(one, -1)
	case one.name == "MemorySwap" && l.wants("Memory"):
		l.set(one, l.defaultSwap())
	default:
		l.recreate = append(l.recreate, l.change(one.name))
	}
}

// podmanPids is how many processes Podman allows a container of which nothing is said.
const podmanPids = 2048

// filledIn says that the engine has set by itself what the file does not state: swap as large as the memory, or none where the
// kernel does not count it, or one way to write the share of the processors as the other.
func (l *limits) filledIn(name string, now int64) bool {
	switch name {
	case "MemorySwap":
		if stated, _ := number(l.made, name); stated == now {
			return false // the file did
		}
		memory, _ := number(l.now, "Memory")
		return now <= 0 || l.wants("Memory") && now == l.defaultSwap() || !l.wants("Memory") && now == 2*memory
	case "PidsLimit":
		stated, _ := number(l.made, name)
		return now == podmanPids && stated != now
	case "NanoCPUs":
		return l.wants("CPUQuota") && l.oneShare()
	case "CPUPeriod", "CPUQuota":
		return l.wants("NanoCPUs") && l.oneShare()
	}
	return false
}

// oneShare says that the engine tells one share of the processors in both ways. Else somebody has set them: engines refuse to
// change one way when the other is set, or mind one of them only.
func (l *limits) oneShare() bool {
	nano, _ := number(l.now, "NanoCPUs")
	quota, _ := number(l.now, "CPUQuota")
	period, ok := number(l.now, "CPUPeriod")
	if !ok {
		period = 100_000 // microseconds: the kernel's default
	}
	return period > 0 && quota == nano*period/1e9
}

// ignored says that the engine was told the value when the container was made, and does not know the limit: it has none at all.
// The swap of a kernel that does not count it is -1.
func (l *limits) ignored(name string, has bool, now int64) bool {
	made, stated := l.made.Get(name)
	want, _ := l.want.Get(name)
	return stated && made == want && (!has || name == "MemorySwap" && now == -1)
}

func (l *limits) cpuset(name string, to *string) {
	now, has := l.now.Get(name)
	want, wanted := l.want.Get(name)
	switch {
	case now == want, wanted && l.ignored(name, has, 0):
	case wanted:
		*to = want
		l.changes = append(l.changes, l.change(name))
	default:
		l.recreate = append(l.recreate, l.change(name))
	}
}

// set puts the value into the update, with those that go with it.
func (l *limits) set(one limit, value int64) {
	one.set(&l.update, value)
	c := l.change(one.name)
	if !c.Has && one.name == "MemorySwap" {
		c.Is, c.Has = strconv.FormatInt(value, 10), true
	}
	l.changes = append(l.changes, c)
	for _, other := range allLimits {
		if !slices.Contains(together[one.name], other.name) {
			continue
		}
		value, wanted := number(l.want, other.name)
		if !wanted && other.name == "MemorySwap" && l.wants("Memory") {
			value, wanted = l.defaultSwap(), true
		}
		if wanted {
			other.set(&l.update, value)
		}
	}
}

// defaultSwap is what engines make of a memory limit alone: as much swap again.
func (l *limits) defaultSwap() int64 {
	memory, _ := number(l.want, "Memory")
	return 2 * memory
}

func (l *limits) wants(name string) bool {
	_, ok := l.want.Get(name)
	return ok
}

func number(s desired.Settings, name string) (n int64, ok bool) {
	text, ok := s.Get(name)
	if !ok {
		return 0, false
	}
	n, _ = strconv.ParseInt(text, 10, 64) // 0 if somebody has tampered with labels
	return n, true
}

func (l *limits) change(name string) desired.Change {
	was, had := l.now.Get(name)
	is, has := l.want.Get(name)
	return desired.Change{Name: name, Was: was, Is: is, Had: had, Has: has}
}
