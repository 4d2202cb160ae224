package desired

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

// The page says what the table says.
func TestAttributesAreDocumented(t *testing.T) {
	const path = "../../docs/reference/compose.md"
	var page bytes.Buffer
	page.WriteString("# Compose files\n\n" +
		"Made from the program by `make docs`. `stack` reads the Compose specification with compose-go. An attribute is done; or it has no effect, which is a warning; " +
		"or it is refused, which is an error with file, line and column. What is not listed here is refused.\n\n" +
		"`<name>` stands for any name, `[]` for any element. A line covers what is below the attribute, unless that has a line of its own.\n")
	for _, part := range []struct {
		state State
		title string
		head  string
	}{
		{Done, "Done", "| attribute |\n|---|\n"},
		{NoEffect, "No effect", "| attribute | why |\n|---|---|\n"},
		{Refused, "Refused", "| attribute | why, or what to write instead |\n|---|---|\n"},
	} {
		fmt.Fprintf(&page, "\n## %s\n\n%s", part.title, part.head)
		for _, s := range Table() {
			switch {
			case s.State != part.state:
			case s.Reason == "":
				fmt.Fprintf(&page, "| `%s` |\n", s.Attribute)
			default:
				fmt.Fprintf(&page, "| `%s` | %s |\n", s.Attribute, s.Reason)
			}
		}
	}
	if *update {
		if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page.Bytes(), want) {
		t.Errorf("%s is out of date; renew it with: make docs", path)
	}
}
