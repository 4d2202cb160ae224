package project

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// ulimits reports a soft limit above the hard one, which the kernel refuses (setrlimit(2)). -1 is no limit.
func (v *validator) ulimits(limits map[string]*types.UlimitsConfig, path ...string) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		u := limits[name]
		if u == nil || u.Single != 0 || u.Hard == -1 || u.Soft >= 0 && u.Soft <= u.Hard {
			continue
		}
		v.fail("out-of-range", fmt.Sprintf("the soft limit of %s, %d, is above the hard one, %d", name, u.Soft, u.Hard), "lower the soft limit, or raise the hard one",
			append(slices.Clone(path), "ulimits", name, "soft")...)
	}
}
