package desired

import (
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// networkSetting begins the names of settings of a container on one of its networks.
const networkSetting = "Networks."

// adjustable are the settings of a container that an engine changes while the container stays, besides its networks. The names are
// those of the fields of the engine's types.
var adjustable = map[string]bool{
	"RestartPolicy.Name": true, "RestartPolicy.MaximumRetryCount": true, "Memory": true, "MemorySwap": true, "MemoryReservation": true,
	"NanoCPUs": true, "CPUShares": true, "CPUPeriod": true, "CPUQuota": true, "CpusetCpus": true, "CpusetMems": true, "PidsLimit": true,
	"BlkioWeight": true,
}

// Mutable says whether a setting of a container can change while the container stays. Labels cannot, so after such a change
// they tell of what was: these settings are compared with what the engine has, and all others with the labels.
func Mutable(setting string) bool {
	return adjustable[setting] || strings.HasPrefix(setting, networkSetting)
}

// Reported are the mutable settings as an engine reports them, in the words of Settings.
func Reported(host *container.HostConfig, endpoints map[string]*network.EndpointSettings) Settings {
	var f flattener
	r := &host.Resources
	f.text("RestartPolicy.Name", string(host.RestartPolicy.Name))
	f.number("RestartPolicy.MaximumRetryCount", int64(host.RestartPolicy.MaximumRetryCount))
	f.number("Memory", r.Memory)
	f.number("MemorySwap", r.MemorySwap)
	f.number("MemoryReservation", r.MemoryReservation)
	f.number("NanoCPUs", r.NanoCPUs)
	f.number("CPUShares", r.CPUShares)
	f.number("CPUPeriod", r.CPUPeriod)
	f.number("CPUQuota", r.CPUQuota)
	f.text("CpusetCpus", r.CpusetCpus)
	f.text("CpusetMems", r.CpusetMems)
	f.number("BlkioWeight", int64(r.BlkioWeight))
	if r.PidsLimit != nil {
		f.add("PidsLimit", strconv.FormatInt(*r.PidsLimit, 10))
	}
	for name, e := range endpoints {
		if e != nil {
			f.reportedEndpoint(networkSetting+name, e)
		}
	}
	return f.sorted()
}

func (f *flattener) text(name, value string) {
	if value != "" {
		f.add(name, value)
	}
}

func (f *flattener) number(name string, value int64) {
	if value != 0 {
		f.add(name, strconv.FormatInt(value, 10))
	}
}

// reportedEndpoint adds what was asked for, and not what the engine made of it.
func (f *flattener) reportedEndpoint(name string, e *network.EndpointSettings) {
	if len(e.Aliases) > 0 {
		f.add(name+".Aliases", words(reflect.ValueOf(e.Aliases)))
	}
	if len(e.Links) > 0 {
		f.add(name+".Links", words(reflect.ValueOf(e.Links)))
	}
	f.text(name+".MacAddress", e.MacAddress)
	f.number(name+".GwPriority", int64(e.GwPriority))
	for key, value := range e.DriverOpts {
		f.add(name+".DriverOpts."+key, value)
	}
	if e.IPAMConfig != nil {
		f.structOf(name+".IPAMConfig.", reflect.ValueOf(*e.IPAMConfig), nil)
	}
}

// Get returns a setting's value, and whether it is there.
func (s Settings) Get(name string) (value string, ok bool) {
	i := s.from(name)
	if i == len(s) || s[i].Name != name {
		return "", false
	}
	return s[i].Value, true
}

// SameEndpoint says that an engine reports a container's settings on a network just as they are wanted. The MAC address is the
// engine's choice if none is wanted, and older engines add an alias of their own, which is the last.
func (s Settings) SameEndpoint(want Settings, network, ownAlias string) bool {
	now, is := s.under(network), want.under(network)
	for {
		reported, more := now()
		wanted, left := is()
		if more && reported.Name != wanted.Name && strings.HasSuffix(reported.Name, ".MacAddress") {
			reported, more = now()
		}
		if !more && !left {
			return true
		}
		if strings.HasSuffix(reported.Name, ".Aliases") {
			reported.Value = strings.TrimSuffix(reported.Value, " "+ownAlias)
		}
		if more != left || reported != wanted {
			return false
		}
	}
}

// under returns a function that returns one setting of a container on a network after the other.
func (s Settings) under(network string) func() (Setting, bool) {
	prefix := networkSetting + network
	i := s.from(prefix)
	return func() (Setting, bool) {
		for ; i < len(s) && strings.HasPrefix(s[i].Name, prefix); i++ {
			if rest := s[i].Name[len(prefix):]; rest == "" || rest[0] == '.' {
				i++
				return s[i-1], true
			}
		}
		return Setting{}, false
	}
}

// Endpoint returns the settings of a container on a network, without the network's name in theirs, and whether there are any.
func (s Settings) Endpoint(network string) (of Settings, ok bool) {
	prefix := networkSetting + network
	for _, line := range s[s.from(prefix):] {
		rest, under := strings.CutPrefix(line.Name, prefix)
		switch {
		case !under:
			return of, ok
		case rest == "":
			ok = true
		case rest[0] == '.':
			ok = true
			of = append(of, Setting{rest[1:], line.Value})
		}
	}
	return of, ok
}

// from is where names begin that are not before this one.
func (s Settings) from(name string) int {
	return sort.Search(len(s), func(i int) bool { return s[i].Name >= name })
}
