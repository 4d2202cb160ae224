package project

import (
	"strings"
	"testing"
)

// A device that has no end is no config, secret or profile.
func TestContentsAreBounded(t *testing.T) {
	for name, compose := range map[string]string{
		"config":  "services: {a: {image: a, configs: [c]}}\nconfigs: {c: {file: /dev/zero}}\n",
		"secret":  "services: {a: {image: a, secrets: [s]}}\nsecrets: {s: {file: /dev/zero}}\n",
		"profile": "services: {a: {image: a, security_opt: ['seccomp=/dev/zero']}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeAll(dir, map[string]string{"compose.yaml": compose}); err != nil {
				t.Fatal(err)
			}
			p, _, err := Load(t.Context(), Options{WorkDir: dir, ProjectName: "x"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = p.ReadContents(); err == nil || !strings.Contains(err.Error(), "compose.yaml:") || !strings.Contains(err.Error(), "/dev/zero: it has more than 64 MiB") {
				t.Errorf("error: %v", err)
			}
		})
	}
}
