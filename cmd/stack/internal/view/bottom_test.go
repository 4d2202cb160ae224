package view

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestBottom(t *testing.T) {
	const erase = "\r\x1b[K"
	for _, c := range []struct {
		name string
		do   func(b *Bottom, w io.Writer)
		want string
	}{
		{"nothing is shown", func(_ *Bottom, w io.Writer) { fmt.Fprint(w, "a\n") }, "a\n"},
		{"above the line", func(b *Bottom, w io.Writer) { b.Show("keys"); fmt.Fprint(w, "a\n") }, "keys" + erase + "a\nkeys"},
		{"a line in parts", func(b *Bottom, w io.Writer) { b.Show("keys"); fmt.Fprint(w, "a"); fmt.Fprint(w, "b\n") }, "keys" + erase + "ab\nkeys"},
		{"taken away", func(b *Bottom, w io.Writer) { b.Show("keys"); b.Show(""); fmt.Fprint(w, "a\n") }, "keys" + erase + "a\n"},
		{"no wider than the terminal", func(b *Bottom, _ io.Writer) { b.Show(strings.Repeat("k", 100)) }, strings.Repeat("k", 79)},
	} {
		var out strings.Builder
		b := NewBottom(&out)
		c.do(b, b.Above(&out))
		if out.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, out.String(), c.want)
		}
	}
}
