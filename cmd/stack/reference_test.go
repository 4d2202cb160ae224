package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite docs/reference/commands.md")

const pages = "../../docs/reference"

// The page says what the commands say of themselves.
func TestCommandsAreDocumented(t *testing.T) {
	root := newRoot(&app{out: io.Discard, err: io.Discard, getenv: func(string) string { return "" }})
	var page bytes.Buffer
	page.WriteString("# Commands\n\nMade from the program by `make docs`; `stack COMMAND --help` says the same.\n\n")
	fmt.Fprintf(&page, "```\n%s\n```\n\nThese stand before the command. Those without a short form that are marked * may stand after it too.\n\n", root.Use)
	writeFlags(&page, root.Flags(), root.PersistentFlags())
	writeList(&page, root)
	for _, cmd := range root.Commands() {
		writeCommand(&page, cmd)
	}
	compareGolden(t, filepath.Join(pages, "commands.md"), page.Bytes())
}

func anchor(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func writeList(page *bytes.Buffer, parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		if cmd.IsAvailableCommand() {
			fmt.Fprintf(page, "- [`%s`](#%s): %s\n", cmd.CommandPath(), anchor(cmd), cmd.Short)
		}
	}
}

func writeCommand(page *bytes.Buffer, cmd *cobra.Command) {
	if !cmd.IsAvailableCommand() {
		return
	}
	fmt.Fprintf(page, "\n## %s\n\n", cmd.CommandPath())
	fmt.Fprintf(page, "%s.\n\n", cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(page, "%s\n\n", cmd.Long)
	}
	if cmd.HasSubCommands() {
		writeList(page, cmd)
	} else {
		fmt.Fprintf(page, "```\n%s\n```\n", strings.ReplaceAll(cmd.UseLine(), "\n  ", "\n"))
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(page, "\nAlso: `%s`.\n", strings.Join(cmd.Aliases, "`, `"))
	}
	if cmd.LocalFlags().HasAvailableFlags() {
		page.WriteString("\n")
		writeFlags(page, cmd.NonInheritedFlags(), &pflag.FlagSet{})
	}
	for _, sub := range cmd.Commands() {
		writeCommand(page, sub)
	}
}

// writeFlags writes one table of the flags of a command, sorted; those that are in everywhere too are marked.
func writeFlags(page *bytes.Buffer, own, everywhere *pflag.FlagSet) {
	page.WriteString("| flag | value | default | meaning |\n|---|---|---|---|\n")
	rows := map[string]string{}
	row := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		if everywhere.Lookup(f.Name) != nil {
			name += " *"
		}
		value := map[string]string{"string": "TEXT", "int": "NUMBER", "stringArray": "TEXT, repeatable", "strings": "TEXT,… repeatable", "duration": "DURATION"}[f.Value.Type()]
		if value != "" && f.NoOptDefVal != "" {
			value += ", or none"
		}
		rows[f.Name] = fmt.Sprintf("| %s | %s | %s | %s |\n", name, value, defaultOf(f), strings.ReplaceAll(f.Usage, "|", "\\|"))
	}
	own.VisitAll(row)
	everywhere.VisitAll(row)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		page.WriteString(rows[name])
	}
	page.WriteString("\n")
}

// defaultOf is empty for what a flag is when nobody thinks of it.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "[]", "0":
		return ""
	}
	return "`" + f.DefValue + "`"
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	got = append(bytes.TrimRight(regexp.MustCompile(`\n{3,}`).ReplaceAll(got, []byte("\n\n")), "\n"), '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date; renew it with: make docs", path)
	}
}

// ownVariable is how a name of the environment stands in the sources: as a string of its own.
var ownVariable = regexp.MustCompile(`"((?:STACK|COMPOSE|DOCKER|XDG)_[A-Z_]+|NO_COLOR|TERM|GOGC|NOTIFY_SOCKET)=?"`)

// Every variable that the commands and the loader look up is on the page, and the page has no other.
func TestEnvironmentIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(pages, "environment.md"))
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	for _, pattern := range []string{"*.go", "internal/*/*.go", "../../project/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range ownVariable.FindAllStringSubmatch(string(source), -1) {
				read[m[1]] = true
			}
		}
	}
	onPage := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)`").FindAllStringSubmatch(string(page), -1) {
		onPage[m[1]] = true
		if !read[m[1]] && !readByLibraries[m[1]] {
			t.Errorf("%s is on the page and not in the program", m[1])
		}
	}
	for name := range read {
		if !onPage[name] {
			t.Errorf("%s is in the program and not on the page docs/reference/environment.md", name)
		}
	}
}

// readByLibraries are variables of which the sources do not speak.
var readByLibraries = map[string]bool{"DOCKER_CONFIG": true, "HTTP_PROXY": true, "HTTPS_PROXY": true, "NO_PROXY": true}

// The page has each exit code with the words that programs get.
func TestExitCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(pages, "environment.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{0, exitFailure, exitChanges, exitNoFile, exitBadProject, exitUsage, exitBuild, exitPull, exitInterrupted} {
		row := fmt.Sprintf("| %d |", code)
		if kind := kindOf(code, nil); kind != "failure" {
			row += " " + kind + " |"
		}
		if !bytes.Contains(page, []byte(row)) {
			t.Errorf("the page has no row %q", row)
		}
	}
}
