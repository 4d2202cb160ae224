package project

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// The bounds of a project, beside those of each file: what takes time and memory grows with what people write, and not
// with what a few lines of it can be made to stand for.
const (
	maxFiles    = 10_000
	maxBytes    = 64 << 20 // of all files
	maxValues   = maxNodes // of all files, and of what services get from those that they extend
	maxServices = 20_000   // of which each takes 16 KB in the model
	maxIncludes = 100      // levels of files that include each other
	maxExtends  = 1000     // services each of which extends the next one
)

var (
	errManyFiles = fmt.Errorf("the project has more than %d files, the most that are read", maxFiles)
	errManyBytes = fmt.Errorf("the project's files have more than %d MiB together, the most that is read", maxBytes>>20)
)

// content is what the file says. What is too much for one file is an error in the file; then there is no content, and ok
// is false.
func (a *assembler) content(t target) (content []byte, ok bool, err error) {
	if len(a.readings) >= maxFiles {
		return nil, false, errManyFiles
	}
	content, inMemory := a.found.content[t.path]
	if !inMemory {
		content, err = await(a.ctx, func() ([]byte, error) { return readFile(t.path) })
		if errors.Is(err, errTooLarge) {
			a.errors = append(a.errors, &Error{Position: Position{t.name, 1, 1}, Rule: variables.RuleLimit, Problem: err.Error()})
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	if a.bytes += len(content); a.bytes > maxBytes {
		return nil, false, errManyBytes
	}
	return content, true, nil
}

// grow counts values, and says whether there may be that many. The first one too many is reported.
func (a *assembler) grow(values int, at tree.Place) bool {
	before := a.values
	a.values += values
	if a.values > maxValues && before <= maxValues {
		a.fail(variables.RuleLimit, at, fmt.Sprintf("the project has more than %d values, counted for each service that gets them, the most that is read", maxValues), "")
	}
	return a.values <= maxValues
}

// fewEnough reports services beyond the bound.
func (a *assembler) fewEnough(root *tree.Value) bool {
	for _, section := range []string{"services", "jobs"} {
		if all := entries(root.Get(section)); len(all) > maxServices {
			a.fail(variables.RuleLimit, all[maxServices].At, fmt.Sprintf("the project has more than %d %s, the most that are read", maxServices, section), "")
			return false
		}
	}
	return true
}

// size is the number of values below the value and itself, or somewhat more than most of them.
func size(v *tree.Value, most int) int {
	n := 1
	for _, e := range v.Entries {
		if n > most {
			break
		}
		n += size(e.Value, most-n)
	}
	for _, item := range v.Items {
		if n > most {
			break
		}
		n += size(item, most-n)
	}
	return n
}

// ranges is how many values ports that are written as ranges stand for.
func ranges(root *tree.Value) int {
	n := 0
	for _, section := range []string{"services", "jobs"} {
		for _, service := range entries(root.Get(section)) {
			for _, port := range items(service.Value.Get("ports")) {
				n += valuesOfPort * rangeLength(port.Text)
			}
		}
	}
	return n
}

// valuesOfPort is how many values the long form of a port has.
const valuesOfPort = 6

// rangeLength is the length of the longest range of numbers in the text, 0 if it has none.
func rangeLength(text string) int {
	longest := 0
	for part := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == ':' || c == '/' }) {
		first, last, ok := strings.Cut(part, "-")
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if ok && err1 == nil && err2 == nil {
			longest = max(longest, to-from+1)
		}
	}
	return longest
}
