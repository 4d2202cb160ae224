package project

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe whose writer says nothing holds up nobody who has given up.
func TestLoadingCanBeInterrupted(t *testing.T) {
	const service = "services:\n  a:\n    image: a\n"
	for name, tc := range map[string]struct {
		compose string
		options Options
	}{
		"compose file":           {service, Options{Files: []string{"pipe"}}},
		"env file":               {service, Options{EnvFiles: []string{"pipe"}}},
		"included file":          {"include: [pipe]\n" + service, Options{}},
		"extended file":          {"services: {a: {extends: {file: pipe, service: b}}}\n", Options{}},
		"env file of an include": {"include: [{path: other.yaml, env_file: pipe}]\n" + service, Options{}},
		"env file of a service":  {service + "    env_file: pipe\n", Options{}},
		"label file":             {service + "    label_file: pipe\n", Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeAll(dir, map[string]string{"compose.yaml": tc.compose, "other.yaml": "services: {b: {image: b}}\n"}); err != nil {
				t.Fatal(err)
			}
			pipe := filepath.Join(dir, "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			writer := make(chan *os.File)
			go func() {
				w, _ := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the loader
				cancel()
				writer <- w
			}()
			tc.options.WorkDir, tc.options.ProjectName = dir, "x"
			_, _, err := Load(ctx, tc.options)
			if w := <-writer; w != nil {
				defer w.Close()
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error: %v", err)
			}
		})
	}
}
