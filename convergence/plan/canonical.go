package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Canonical is the plan as text that is equal if and only if the same is done, to the same objects, for the same reasons. Each
// operation is a block: its ID, then what it is made of, a line each and indented. What is too long or too secret for a line is
// there as a digest.
//
// Left out is what does not decide: notes, and waits for what the plan itself does not start, since such a wait is over as soon
// as its container is healthy.
func (p *Plan) Canonical() string {
	idle := p.idleWaits()
	var b strings.Builder
	b.WriteString("project " + p.Project + "\n")
	for _, op := range p.Operations {
		if !idle[op.Head().ID] {
			writeOperation(&b, op, idle)
		}
	}
	if p.Undecided {
		b.WriteString("decided afterwards\n")
		for _, name := range p.Later {
			b.WriteString("  service " + name + "\n")
		}
	}
	return b.String()
}

// idleWaits are the IDs of waits for containers that run already.
func (p *Plan) idleWaits() map[string]bool {
	out := make(map[string]bool)
	for _, op := range p.Operations {
		switch op.(type) {
		case *WaitHealthy, *WaitCompleted:
			h := op.Head()
			out[h.ID] = len(h.Needs)+len(h.After) == 0
		}
	}
	return out
}

func writeOperation(b *strings.Builder, op Operation, without map[string]bool) {
	h := op.Head()
	line := func(name, value string) { b.WriteString("  " + name + " " + oneLine(value) + "\n") }
	b.WriteString(h.ID + "\n")
	line("is", KindOf(op))
	if h.Cause != "" {
		line("because", h.Cause)
	}
	for _, id := range h.Needs {
		if !without[id] {
			line("after", id)
		}
	}
	for _, id := range h.After {
		if !without[id] {
			line("after, also if it fails,", id)
		}
	}
	v := reflect.ValueOf(op).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); !f.Anonymous && !v.Field(i).IsZero() {
			line(strings.ToLower(f.Name), canonicalValue(f, v.Field(i)))
		}
	}
}

// canonicalValue is a field's value: text as it is, what plans show as JSON, and of all else a digest.
func canonicalValue(f reflect.StructField, v reflect.Value) string {
	if v.Kind() == reflect.String {
		return v.String()
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		panic(fmt.Sprintf("plan: %s cannot be written: %v", f.Name, err)) // operations are plain values
	}
	if f.Tag.Get("json") == "-" {
		sum := sha256.Sum256(text)
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return string(text)
}

func oneLine(s string) string {
	return strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`).Replace(s)
}

// CanonicalIDs are the IDs of the operations of a plan in its canonical form.
func CanonicalIDs(text string) []string { return blocksOf(text).order[1:] } // behind the project

// Difference compares two plans in their canonical form: lines that begin with "- " are of the first only, those with "+ " of
// the second only. An operation that only one of them has is one line. Either text may come from somebody else: the lines can be
// written to a terminal.
func Difference(was, is string) []string {
	before, after := blocksOf(was), blocksOf(is)
	var out []string
	for _, b := range before.order {
		other, both := after.lines[b]
		switch {
		case !both:
			out = append(out, "- "+headline(b, before.lines[b]))
		default:
			out = append(out, only("- ", b, before.lines[b], other)...)
			out = append(out, only("+ ", b, other, before.lines[b])...)
		}
	}
	for _, b := range after.order {
		if _, both := before.lines[b]; !both {
			out = append(out, "+ "+headline(b, after.lines[b]))
		}
	}
	for i := range out {
		out[i] = onTerminal(out[i])
	}
	return out
}

// blocks are the parts of a canonical plan, by their first lines.
type blocks struct {
	order []string
	lines map[string][]string
}

func blocksOf(text string) blocks {
	out := blocks{lines: make(map[string][]string)}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		detail, indented := strings.CutPrefix(line, "  ")
		switch {
		case !indented:
			out.order = append(out.order, line)
			out.lines[line] = nil
		case len(out.order) > 0:
			last := out.order[len(out.order)-1]
			out.lines[last] = append(out.lines[last], detail)
		}
	}
	return out
}

// headline is an operation as the text of a plan has it.
func headline(id string, lines []string) string {
	for _, line := range lines {
		if cause, ok := strings.CutPrefix(line, "because "); ok {
			return id + ": " + cause
		}
	}
	return id
}

// only are the lines that the other does not have, each with the operation's ID. Of digests it is enough that they differ.
func only(sign, id string, lines, other []string) []string {
	var out []string
	for _, line := range lines {
		if slices.Contains(other, line) {
			continue
		}
		if name, digest, ok := strings.Cut(line, " sha256:"); ok && !strings.Contains(name, " ") && len(digest) > shownDigest {
			line = name + " sha256:" + digest[:shownDigest] + "…"
		}
		out = append(out, sign+id+": "+line)
	}
	return out
}

// shownDigest is how many digits of a digest are shown.
const shownDigest = 12
