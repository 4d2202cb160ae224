package view

import (
	"fmt"
	"io"
	"strings"

	"stackrun.dev/stack/project"
)

// Problem is an error as the user sees it: in parts, and in one text.
type Problem struct {
	Kind           string `json:"kind"`               // "invalid project", "not found", "conflict", …
	Message        string `json:"message"`            // all of it, over several lines if it quotes
	ExitCode       int    `json:"exitCode,omitempty"` // the program's
	*project.Error        // the place, the line and so on, if it is in a file
}

// Problems prints errors once, each after the word "error".
func Problems(out io.Writer, style Style, problems []Problem) {
	for _, p := range problems {
		fmt.Fprintf(out, "%s %s\n", style.paint(red, "error:"), strings.TrimRight(p.Message, "\n"))
	}
}

// Complaints prints errors and advice as one JSON document.
func Complaints(out io.Writer, problems []Problem, advice []project.Warning) {
	_ = JSON(out, struct {
		Errors   []Problem         `json:"errors"`
		Warnings []project.Warning `json:"warnings"`
	}{append([]Problem{}, problems...), append([]project.Warning{}, advice...)})
}

// Warn prints advice.
func Warn(out io.Writer, style Style, text string) {
	fmt.Fprintf(out, "%s %s\n", style.paint(yellow, "warning:"), text)
}
