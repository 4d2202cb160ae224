package record

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"stackrun.dev/stack/convergence/desired"
)

// Wish is what a run is about, in short: a digest of each service, of its containers, networks and volumes, whatever images are.
// That it is about all services is noted under the empty name.
type Wish map[string]string

// Wish is what the record's run was about.
func (r *Record) Wish() Wish {
	out := make(Wish)
	for _, name := range r.Covered() {
		out[name] = r.digest(r.Desired.Service(name))
	}
	if len(r.Up.Services) == 0 {
		out[""] = "all"
	}
	return out
}

func (r *Record) digest(s *desired.Service) string {
	h := sha256.New()
	fmt.Fprintln(h, s.Name, s.Image, s.Models)
	if s.Provider != nil {
		fmt.Fprintln(h, *s.Provider)
	}
	for _, c := range s.Containers {
		fmt.Fprintln(h, c.Name, c.Hash)
	}
	networks, volumes := make(map[string]bool), make(map[string]bool)
	markUsed(s, networks, volumes)
	for _, key := range slices.Sorted(maps.Keys(networks)) {
		if n := r.Desired.Network(key); n != nil {
			fmt.Fprintln(h, key, n.Name, n.Hash)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(volumes)) {
		if v := r.Desired.Volume(key); v != nil {
			fmt.Fprintln(h, key, v.Name, v.Hash)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Grants says that the record is a state in which the wish is fulfilled already.
func (r *Record) Grants(w Wish) bool {
	for i := range r.Desired.Services {
		s := &r.Desired.Services[i]
		if digest, wished := w[s.Name]; wished && digest != r.digest(s) || !wished && w[""] != "" {
			return false
		}
	}
	for name := range w {
		if name != "" && r.Desired.Service(name) == nil {
			return false
		}
	}
	return true
}

// Same says that two records are of one state: the same containers of the same images, and the same networks and volumes for
// them. A run that only repairs what has changed by itself comes to the state of before.
func Same(a, b *Record) bool { return maps.Equal(a.essence(), b.essence()) }

// essence is what makes a state different from others.
func (r *Record) essence() map[string]string {
	out := make(map[string]string)
	for i := range r.Desired.Services {
		s := &r.Desired.Services[i]
		out[s.Name] = r.digest(s)
		if len(s.Containers) > 0 {
			out[s.Name] += " " + r.imageOf(s)
		}
	}
	return out
}
