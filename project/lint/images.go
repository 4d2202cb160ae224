package lint

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

var latestTag = Rule{
	Name:    "latest-tag",
	Summary: "an image without a tag, or with the tag latest",
	Why:     "what runs changes whenever somebody pushes a new image",
	Bad:     "services:\n  web:\n    image: nginx\n",
	Good:    "services:\n  web:\n    image: nginx:1.29\n",
	check: func(l *linter) {
		for _, name := range l.names {
			s := l.all[name]
			if s.Build == nil && s.Provider == nil {
				l.image(s, "services", name, "image")
			}
		}
	},
}

// image checks the name of an image that is pulled. One that is built is as new as its sources.
func (l *linter) image(s types.ServiceConfig, path ...string) {
	name, digest, _ := strings.Cut(s.Image, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	if digest != "" || s.Image == "" || tag != "" && tag != "latest" {
		return
	}
	problem := fmt.Sprintf("the image %s has no tag, which stands for latest", name)
	if tag != "" {
		problem = fmt.Sprintf("the image %s has the tag latest", name)
	}
	l.find(problem, fmt.Sprintf("write the version that you have tested: %s:VERSION", name), path...)
}

var unpinnedInclude = Rule{
	Name:    "unpinned-include",
	Summary: "a remote file that is included or extended without a commit or a digest",
	Why:     "whoever can change the remote file decides what runs here",
	Bad:     "include:\n  - https://github.com/example/stack.git#main:compose.yaml\n",
	Good:    "include:\n  - https://github.com/example/stack.git#0123456789abcdef0123456789abcdef01234567:compose.yaml\n",
	check: func(l *linter) {
		for _, i := range l.Imports() {
			if pinned.MatchString(i.Address) {
				continue
			}
			e := *i.Error
			e.Problem = fmt.Sprintf("%s may change at any time", i.Address)
			e.Fix = "name a commit (#COMMIT), or a digest (@sha256:…) of a registry's artifact"
			l.add(&e)
		}
	},
}

var pinned = regexp.MustCompile(`[#=][0-9a-f]{40}([0-9a-f]{24})?($|[:&])|@sha(256|384|512):[0-9a-f]{64,}`)
