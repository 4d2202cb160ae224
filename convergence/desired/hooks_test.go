package desired

import (
	"errors"
	"slices"
	"testing"

	"stackrun.dev/stack/project"
)

// What cannot be carried out for a service cannot be for its hooks either; what a hook has from its service is reported once.
func TestRefusedOfHooks(t *testing.T) {
	p := load(t, `
services:
  web:
    image: w
    umask: 18
    pre_start:
      - {command: x}
      - command: x
        isolation: hyperv
      - {command: x, umask: 19}
`)
	_, _, err := FromProject(p, Input{})
	mistakes, _ := errors.AsType[project.Errors](err)
	var lines []int
	for _, m := range mistakes {
		lines = append(lines, m.Line)
	}
	if want := []int{5, 9, 10}; !slices.Equal(lines, want) {
		t.Errorf("lines %v: %v", lines, err)
	}
}

// A config or secret that nobody uses may be of a kind that there is not.
func TestUnusedExternals(t *testing.T) {
	const unused = "services: {web: {image: w}}\nsecrets: {s: {external: true}}\nconfigs: {c: {external: true}}\n"
	if _, _, err := FromProject(load(t, unused), Input{}); err != nil {
		t.Errorf("unused: %v", err)
	}
	for _, use := range []string{"secrets: [s]", "configs: [c]", "pre_start: [{command: x, secrets: [s]}]", "pre_start: [{command: x, configs: [c]}]"} {
		text := "services:\n  web:\n    image: w\n    " + use + "\nsecrets: {s: {external: true}}\nconfigs: {c: {external: true}}\n"
		if _, _, err := FromProject(load(t, text), Input{}); err == nil {
			t.Errorf("%s is not refused", use)
		}
	}
}
