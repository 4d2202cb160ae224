package project

import (
	"os"
	"strings"
	"testing"
)

// The examples of the page load, without a word.
func TestXStackPage(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/x-stack.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(page), "```yaml\n")
	if len(parts) < 3 {
		t.Fatal("the page has no examples")
	}
	for _, part := range parts[1:] {
		text, _, _ := strings.Cut(part, "```")
		p, warnings := load(t, map[string]string{"compose.yaml": text}, Options{Env: map[string]string{}})
		if len(warnings) > 0 {
			t.Error(warnings)
		}
		for _, name := range p.ServiceNames() {
			if strings.Contains(text, "on_change") && len(p.OnChange(name)) == 0 {
				t.Errorf("service %s does nothing", name)
			}
		}
	}
	for _, key := range onChangeKeys {
		if !strings.Contains(string(page), key) {
			t.Errorf("the page has nothing about %s", key)
		}
	}
}
