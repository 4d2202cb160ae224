package view

import (
	"fmt"
	"io"
	"strings"
)

// Problem is an error as the user sees it.
type Problem struct {
	Kind     string `json:"kind"`               // "invalid project", "not found", "conflict", …
	Message  string `json:"message"`            // all of it, over several lines if it quotes
	File     string `json:"file,omitempty"`     // where the mistake is, if it is in a file
	Line     int    `json:"line,omitempty"`     // from 1
	Col      int    `json:"column,omitempty"`   // from 1
	ExitCode int    `json:"exitCode,omitempty"` // the program's
}

// Problems prints errors once: as JSON, or each as text after the word "error".
func Problems(out io.Writer, format string, style Style, problems []Problem) {
	if format == "json" {
		_ = JSON(out, map[string]any{"errors": problems})
		return
	}
	for _, p := range problems {
		fmt.Fprintf(out, "%s %s\n", style.paint(red, "error:"), strings.TrimRight(p.Message, "\n"))
	}
}

// Warn prints advice.
func Warn(out io.Writer, style Style, text string) {
	fmt.Fprintf(out, "%s %s\n", style.paint(yellow, "warning:"), text)
}
