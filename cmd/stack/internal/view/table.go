package view

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode/utf8"
)

// Table is a list with a heading. Cells are shown as they are, except for control characters.
type Table struct {
	Header []string
	Rows   [][]string
}

// Write prints the table with its columns aligned.
func (t Table) Write(out io.Writer) error {
	widths := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	w := bufio.NewWriter(out)
	writeRow(w, t.Header, widths)
	for _, row := range t.Rows {
		writeRow(w, row, widths)
	}
	return w.Flush()
}

func writeRow(w *bufio.Writer, row []string, widths []int) {
	var b strings.Builder
	for i, cell := range row {
		b.WriteString(Clean(cell))
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+3))
		}
	}
	w.WriteString(strings.TrimRight(b.String(), " ") + "\n")
}

// List prints things in one of the formats of --format: "table" (or ""), "json", or a Go template, which may begin
// with "table". lines says that JSON is one object a line, as opposed to one array.
func List[T any](out io.Writer, format string, things []T, lines bool, table func([]T) Table) error {
	switch {
	case format == "" || format == "table":
		return table(things).Write(out)
	case format == "json" && lines:
		return jsonEach(out, things)
	case format == "json":
		return JSON(out, append([]T{}, things...))
	}
	text, ok := strings.CutPrefix(format, "table ")
	if !ok && !strings.Contains(format, "{{") {
		return fmt.Errorf("value %q of --format is not table, json or a Go template", format)
	}
	return templateEach(out, strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text), things)
}

func jsonEach[T any](out io.Writer, things []T) error {
	enc := newEncoder(out)
	for _, thing := range things {
		if err := enc.Encode(thing); err != nil {
			return err
		}
	}
	return nil
}

// JSON prints one value.
func JSON(out io.Writer, value any) error { return newEncoder(out).Encode(value) }

func newEncoder(out io.Writer) *json.Encoder {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc
}

func templateEach[T any](out io.Writer, text string, things []T) error {
	t, err := template.New("--format").Funcs(template.FuncMap{
		"json":  func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		"join":  strings.Join,
		"lower": strings.ToLower,
		"upper": strings.ToUpper,
		"title": func(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] },
		"split": strings.Split,
	}).Parse(text)
	if err != nil {
		return fmt.Errorf("cannot read the template of --format: %w", err)
	}
	for _, thing := range things {
		var b strings.Builder
		if err := t.Execute(&b, thing); err != nil {
			return fmt.Errorf("cannot apply the template of --format: %w", err)
		}
		if _, err := fmt.Fprintln(out, b.String()); err != nil {
			return err
		}
	}
	return nil
}
