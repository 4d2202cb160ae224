package project

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project/internal/grammar"
)

// Watch is one rule of a service's develop.watch.
type Watch struct {
	types.Trigger

	// NoInitialSync: initial_sync is written, and false. The model cannot tell that from not written.
	NoInitialSync bool

	project *Project
	volumes []types.ServiceVolumeConfig
	path    []string
}

// Watches are the rules of the service's develop.watch, in their order.
func (p *Project) Watches(service string) []Watch {
	s, on := p.Services[service]
	if !on {
		s = p.DisabledServices[service]
	}
	if s.Develop == nil {
		return nil
	}
	out := make([]Watch, len(s.Develop.Watch))
	for i, trigger := range s.Develop.Watch {
		w := Watch{Trigger: trigger, project: p, volumes: s.Volumes, path: []string{"services", service, "develop", "watch", index(i)}}
		w.NoInitialSync = !trigger.InitialSync && p.has(w.at([]string{"initial_sync"})...)
		out[i] = w
	}
	return out
}

func (w Watch) at(key []string) []string { return append(slices.Clone(w.path), key...) }

// Position says where the rule is written, or the value that it has under the key.
func (w Watch) Position(key ...string) Position { return w.project.Position(w.at(key)...) }

// Mistake is an Error about the rule, or about the value that it has under the key.
func (w Watch) Mistake(problem, fix string, key ...string) *Error {
	return w.project.mistake("invalid-watch", problem, fix, w.at(key)...)
}

// Copies says whether the rule's action copies files.
func (w Watch) Copies() bool {
	return strings.HasPrefix(string(w.Action), string(types.WatchActionSync))
}

// Destination is the target as an absolute path: one that is relative is so to the root.
func (w Watch) Destination() string { return path.Join("/", w.Target) }

// Covered returns the bind mount in which the rule's target is, if there is one: what is copied there would be written to this
// machine. It says whether the mount shows at the target what would be copied, so that there is nothing to copy. Of mounts in each
// other, the innermost has the target.
func (w Watch) Covered() (mount types.ServiceVolumeConfig, shown, covered bool) {
	var rel string
	for _, m := range w.volumes {
		target := path.Clean(m.Target)
		r, ok := strings.CutPrefix(w.Destination(), target)
		if ok && (r == "" || r[0] == '/' || target == "/") && len(target) > len(mount.Target) {
			mount, rel = m, r
			mount.Target = target
		}
	}
	if mount.Type != types.VolumeTypeBind {
		return types.ServiceVolumeConfig{}, false, false
	}
	return mount, RealPath(filepath.Join(mount.Source, rel)) == RealPath(w.Path), true
}

var watchActions = []string{
	string(types.WatchActionRebuild), string(types.WatchActionRestart), string(types.WatchActionSync), string(types.WatchActionSyncExec), string(types.WatchActionSyncRestart),
}

// watches reports what is wrong with develop.watch, and what has no effect in it. Whether the paths are there does not matter
// before somebody watches.
func (v *validator) watches(s types.ServiceConfig) {
	if v.options.NoInterpolate {
		return
	}
	for _, w := range v.Watches(s.Name) {
		known := slices.Contains(watchActions, string(w.Action))
		copies := w.Copies()
		runs := w.Action == types.WatchActionSyncExec
		for _, f := range []serviceFault{
			{!known, "invalid-value", fmt.Sprintf("action cannot be %q", w.Action),
				cmp.Or(suggest(string(w.Action), watchActions), "write "+strings.Join(watchActions, " or ")), []string{"action"}},
			{w.Path == "", "missing-key", "watching needs a path", "add path: and a folder or a file", nil},
			{copies && w.Target == "", "missing-key", fmt.Sprintf("watching with the action %s needs a target", w.Action), "add target: and a path in the container", nil},
			{runs && len(w.Exec.Command) == 0, "missing-key", "watching with the action sync+exec needs a command", "add exec: {command: …}, or write action: sync", nil},
		} {
			if f.is {
				v.fail(f.rule, f.problem, f.fix, w.at(f.path)...)
			}
		}
		v.watchPatterns(w, "include", w.Include)
		v.watchPatterns(w, "ignore", w.Ignore)
		if known {
			v.unusedOfWatch(w, copies, runs)
		}
	}
}

func (v *validator) watchPatterns(w Watch, key string, patterns []string) {
	for i, text := range patterns {
		if fault := grammar.Pattern(text); fault != nil {
			v.fail(fault.Rule, fault.Problem, fault.Fix, w.at([]string{key, index(i)})...)
		}
	}
}

// unusedOfWatch warns of what a rule says that its action does not use.
func (v *validator) unusedOfWatch(w Watch, copies, runs bool) {
	const nothing = "no-effect"
	for _, f := range []struct {
		is              bool
		rule, key, text string
	}{
		{!copies && w.Target != "", nothing, "target", fmt.Sprintf("target has no effect with the action %s, which copies nothing; remove it, or write action: sync", w.Action)},
		{!copies && v.has(w.at([]string{"initial_sync"})...), nothing, "initial_sync", fmt.Sprintf("initial_sync has no effect with the action %s, which copies nothing", w.Action)},
		{!runs && len(w.Exec.Command) > 0, nothing, "exec", fmt.Sprintf("exec has no effect with the action %s; remove it, or write action: sync+exec", w.Action)},
		{copies && w.Target != "" && !path.IsAbs(w.Target), "relative-target", "target", fmt.Sprintf("the target %s is not absolute and is taken for /%s", w.Target, path.Clean(w.Target))},
		{w.Action == types.WatchActionRebuild && v.Services[w.path[1]].Build == nil, nothing, "action",
			fmt.Sprintf("there is nothing to rebuild: service %s has no build; to watch it is refused", w.path[1])},
	} {
		if f.is {
			v.warn(f.rule, f.text, v.place(w.at([]string{f.key})))
		}
	}
}
