package lint

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"stackrun.dev/stack/project/lint/dockerfile"
)

const pageFile = "../../docs/reference/lint.md"

// The page says what the rules say of themselves.
func TestRulesAreDocumented(t *testing.T) {
	got := pageText()
	if *update {
		if err := os.WriteFile(pageFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, _ := os.ReadFile(pageFile); string(want) != got {
		t.Errorf("%s is out of date; renew it with: make docs", pageFile)
	}
}

func pageText() string {
	var b strings.Builder
	b.WriteString(`# Lint

Made from the program by ` + "`make docs`" + `. ` + "`stack lint`" + ` gives advice about a project that loads. Each finding names its rule, the line, what
to write and why. It exits with 0 if there is nothing to say, with 2 if there are findings, and with 15 if the project does not load.

A comment silences a rule: on the line, alone on the line above it, or among the comments at the top of the file for all of
the file. Several names are separated by commas; text after them is for people. ` + "`--ignore RULE`" + ` leaves a rule out everywhere.

` + "```yaml" + `
services:
  web:
    image: nginx # lint: ignore=latest-tag the newest is wanted here
    # lint: ignore=public-port,bind-outside-project
    ports: ["80:80"]
` + "```" + `

| rule | finds |
|---|---|
`)
	for _, r := range rules {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", r.Name, r.Name, r.Summary)
	}
	for _, r := range rules {
		fmt.Fprintf(&b, "\n## %s\n\nFinds %s: %s.\n\n```yaml\n%s```\n\nBetter:\n\n```yaml\n%s```\n", r.Name, r.Summary, r.Why, r.Bad, r.Good)
	}
	b.WriteString(`
## Dockerfiles

The Dockerfiles of services that are built, those in ` + "`dockerfile_inline`" + ` too, are checked by BuildKit's own checks, which
https://docs.docker.com/reference/build-checks/ describes. No registry is asked. The comments above silence them as well, and so does
` + "`# check=skip=NAME`" + ` at the top of the Dockerfile. Their names:

`)
	for _, name := range dockerfile.Rules() {
		fmt.Fprintf(&b, "- `%s`\n", name)
	}
	return b.String()
}
