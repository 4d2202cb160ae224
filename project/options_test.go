package project

import (
	"strings"
	"testing"
)

// What is left out of the model by options is left as it was written.
func TestOptionsOfConfig(t *testing.T) {
	files := map[string]string{
		"compose.yaml":     "include: ['${DIR}/compose.yaml']\nservices:\n  s: {image: '$IMAGE', volumes: ['./data:/data'], env_file: s.env, extends: {file: '$DIR/compose.yaml', service: i}}\n",
		"sub/compose.yaml": "services: {i: {image: i, build: '$CTX'}}\n", "s.env": "A=1\n", ".env": "DIR=sub\nIMAGE=x\nCTX=ctx\n",
	}
	for name, tc := range map[string]struct {
		o    Options
		want func(*Project) bool
	}{
		"all": {Options{}, func(p *Project) bool {
			return p.Services["s"].Image == "x" && strings.HasSuffix(p.Services["i"].Build.Context, "/sub/ctx") && p.Services["s"].Environment["A"] != nil && len(p.Networks) == 1
		}},
		"NoInterpolate": {Options{NoInterpolate: true}, func(p *Project) bool {
			return p.Services["s"].Image == "$IMAGE" && strings.HasSuffix(p.Services["i"].Build.Context, "$CTX")
		}},
		"NoNormalize":      {Options{NoNormalize: true}, func(p *Project) bool { return len(p.Networks) == 0 && p.Services["i"].Build.Dockerfile == "" }},
		"NoPathResolution": {Options{NoPathResolution: true}, func(p *Project) bool { return p.Services["s"].Volumes[0].Source == "./data" }},
		"NoEnvResolution": {Options{NoEnvResolution: true}, func(p *Project) bool {
			return len(p.Services["s"].Environment) == 0 && len(p.Services["s"].EnvFiles) == 1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.ProjectName = "x"
			p, _ := load(t, files, tc.o)
			if !tc.want(p) {
				t.Errorf("%+v\n%+v", p.Services, p.Networks)
			}
		})
	}
	files["compose.yaml"] = "services: {s: {image: a, networks: [nowhere]}}\n"
	load(t, files, Options{NoConsistency: true, ProjectName: "x"})
}
