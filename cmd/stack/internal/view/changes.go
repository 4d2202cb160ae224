package view

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Reaction is what was done to a service because files have changed, or what could not be done.
type Reaction struct {
	Service string
	Action  string   // as rules call it: "sync", "restart", …
	What    string   // the signal that was sent, or the command that was run
	Paths   []string // what has changed, absolute; empty: nothing, the whole was compared
	Written Entries  // in each container, or in the one that needed the most
	Removed Entries
	Into    int // containers
	New     int // it was done in so many new containers alone; 0: in all of the service
	Bytes   int64
	Took    time.Duration // without Waited
	Waited  time.Duration // for others to be done
	Err     error
}

// Entries are files and links, and folders.
type Entries struct{ Files, Folders int }

func (e Entries) any() bool { return e != Entries{} }

// String is for example "1 file", "3 files, 1 folder".
func (e Entries) String() string {
	switch {
	case e.Folders == 0:
		return Count(e.Files, "file")
	case e.Files == 0:
		return Count(e.Folders, "folder")
	}
	return Count(e.Files, "file") + ", " + Count(e.Folders, "folder")
}

// Changes prints a line for each reaction, and what else is to be known while files are watched.
type Changes struct {
	mu    sync.Mutex
	out   io.Writer
	style Style
	dir   string
	enc   *json.Encoder // lines of JSON; nil: text
	quiet bool          // only what went wrong
}

// NewChanges prints to out in one of ProgressModes. Paths are shown relative to the directory.
func NewChanges(mode, dir string, out io.Writer, style Style) *Changes {
	c := &Changes{out: out, style: style, dir: dir, quiet: mode == "quiet"}
	if mode == "json" {
		c.enc = json.NewEncoder(out)
	}
	return c
}

// Text prints a line of prose.
func (c *Changes) Text(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.enc != nil:
		_ = c.enc.Encode(jsonEvent{Text: line, Time: time.Now().UTC()})
	case !c.quiet:
		_, _ = fmt.Fprintln(c.out, line)
	}
}

// Warn prints a line about what is not as it should be.
func (c *Changes) Warn(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.enc != nil {
		_ = c.enc.Encode(jsonEvent{Text: line, State: Warning, Time: time.Now().UTC()})
		return
	}
	Warn(c.out, c.style, line)
}

// Bad prints what is wrong with a service, in one or more lines.
func (c *Changes) Bad(service, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.enc != nil {
		_ = c.enc.Encode(jsonEvent{ID: service, Text: text, State: Failed, Time: time.Now().UTC()})
		return
	}
	first, rest, more := strings.Cut(text, "\n")
	if more {
		rest = "\n" + rest
	}
	_, _ = fmt.Fprintf(c.out, "%s  %s%s\n", c.style.paint(bold, service), c.style.paint(red, first), rest)
}

// About prints a line about a service.
func (c *Changes) About(service, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.enc != nil:
		_ = c.enc.Encode(jsonEvent{ID: service, Text: line, Time: time.Now().UTC()})
	case !c.quiet:
		_, _ = fmt.Fprintf(c.out, "%s  %s\n", c.style.paint(bold, service), line)
	}
}

// Applied is what has come of a change of a project's own files.
type Applied struct {
	Project string
	Done    string   // for example "recreated web"; empty: nothing had to change
	Paths   []string // what has changed, absolute
	Took    time.Duration
}

// Applied prints what was done.
func (c *Changes) Applied(r Applied) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := r.Done
	if done == "" {
		done = "nothing had to change"
	}
	switch {
	case c.enc != nil:
		_ = c.enc.Encode(struct {
			Project string    `json:"project"`
			Action  string    `json:"action"`
			Done    string    `json:"done,omitempty"`
			Paths   []string  `json:"paths"`
			Seconds float64   `json:"seconds"`
			Time    time.Time `json:"time"`
		}{r.Project, "apply", r.Done, r.Paths, r.Took.Seconds(), time.Now().UTC()})
	case !c.quiet:
		_, _ = fmt.Fprintf(c.out, "%s  %s%s in %s\n", c.style.paint(bold, "project "+r.Project), done, c.because(r.Paths), Took(r.Took))
	}
}

// jsonReaction is a reaction as programs read it.
type jsonReaction struct {
	Service    string    `json:"service"`
	Action     string    `json:"action"`
	What       string    `json:"what,omitempty"`
	Paths      []string  `json:"paths,omitempty"`
	Written    int       `json:"written,omitempty"` // files and links; folders are apart
	Folders    int       `json:"writtenFolders,omitempty"`
	Removed    int       `json:"removed,omitempty"`
	Without    int       `json:"removedFolders,omitempty"`
	Containers int       `json:"containers,omitempty"`
	New        int       `json:"newContainers,omitempty"`
	Bytes      int64     `json:"bytes,omitempty"`
	Seconds    float64   `json:"seconds"`
	Waited     float64   `json:"waitedSeconds,omitempty"`
	Error      string    `json:"error,omitempty"`
	Time       time.Time `json:"time"`
}

// Reaction prints what was done.
func (c *Changes) Reaction(r Reaction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.enc != nil:
		out := jsonReaction{
			Service: r.Service, Action: r.Action, What: r.What, Paths: r.Paths, Written: r.Written.Files, Folders: r.Written.Folders,
			Removed: r.Removed.Files, Without: r.Removed.Folders, Containers: r.Into, New: r.New, Bytes: r.Bytes,
			Seconds: r.Took.Seconds(), Waited: r.Waited.Seconds(), Time: time.Now().UTC(),
		}
		if r.Err != nil {
			out.Error = r.Err.Error()
		}
		_ = c.enc.Encode(out)
	case r.Err != nil:
		_, _ = fmt.Fprintf(c.out, "%s  %s %s\n", c.style.paint(bold, r.Service), c.style.paint(red, "cannot "+r.todo()+c.because(r.Paths)+":"), oneLine(r.Err))
	case !c.quiet:
		_, _ = fmt.Fprintf(c.out, "%s  %s%s in %s%s\n", c.style.paint(bold, r.Service), r.done(), c.because(r.Paths), Took(r.Took), r.waited())
	}
}

// waitShown is the shortest wait that is worth a word.
const waitShown = time.Second

func (r *Reaction) waited() string {
	if r.Waited < waitShown {
		return ""
	}
	return ", after a wait of " + Took(r.Waited)
}

// oneLine is an error without what is said twice.
func oneLine(err error) string {
	lines := distinct(err.Error())
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

// Once is a text without the lines that say the same again, as errors of several containers do.
func Once(text string) string { return strings.Join(distinct(text), "\n") }

func distinct(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRightFunc(line, unicode.IsSpace); line != "" && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

// todo is the action as something that is still to be done.
func (r *Reaction) todo() string {
	switch r.Action {
	case "signal":
		return "send " + r.What
	case "exec", "sync+exec":
		return "run " + short(Clean(r.What))
	case "sync+restart":
		return "sync and restart"
	}
	return r.Action
}

// done says what was done.
func (r *Reaction) done() string {
	switch r.Action {
	case "rebuild":
		return "rebuilt"
	case "restart":
		return "restarted" + r.where(0)
	case "signal":
		return "sent " + r.What
	case "exec", "sync+exec":
		return "ran " + short(Clean(r.What)) + r.where(0)
	case "sync+restart":
		if r.New > 0 {
			return r.synced() + " and restarted" + r.where(0)
		}
		return r.synced() + r.where(r.Into) + " and restarted"
	}
	return r.synced() + r.where(r.Into)
}

func (r *Reaction) synced() string {
	switch {
	case !r.Removed.any():
		return "synced " + r.Written.String()
	case !r.Written.any():
		return "removed " + r.Removed.String()
	}
	return "synced " + r.Written.String() + ", removed " + r.Removed.String()
}

// where says in which containers, unless it is the only one or all.
func (r *Reaction) where(into int) string {
	switch {
	case r.New > 0:
		return " in " + Count(r.New, "new container")
	case into > 1:
		return " in " + Count(into, "container")
	}
	return ""
}

// pathsShown is how many files are named in a line.
const pathsShown = 3

// because names the files that are the reason.
func (c *Changes) because(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	var names []string
	for _, path := range paths[:min(len(paths), pathsShown)] {
		names = append(names, c.short(path))
	}
	if more := len(paths) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("+%d", more))
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// short is the path as seen from the directory; the end of a long one.
func (c *Changes) short(path string) string {
	if rel, err := filepath.Rel(c.dir, path); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		path = rel
	}
	path = Clean(path)
	if runes := []rune(path); len(runes) > wide {
		path = "…" + string(runes[len(runes)-wide+1:])
	}
	return path
}

// wide is how much of a path or of a command is shown.
const wide = 40

// short is the beginning of a long text.
func short(text string) string { return cut(text, wide) }

// Count is a number of things, with commas: "1,240 files".
func Count(n int, thing string) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n != 1 {
		thing += "s"
	}
	return digits + " " + thing
}

// Took is how long something took, with the digits that matter: "12 ms", "2.3 s", "1m20s".
func Took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
