package session

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// errFault is the kind of failures that are mistakes in this program.
var errFault = errors.New("fault of this program, please report this line")

// caught makes an error of what a deferred function has recovered, if it is something. It says where in one line, because that is
// what the user sees of an action.
func caught(fault any) error {
	if fault == nil {
		return nil
	}
	what, _, _ := strings.Cut(fmt.Sprint(fault), "\n")
	return fmt.Errorf("%w: %s (%s)", errFault, what, faultyLines())
}

// mostPlaces is how many places of the stack are said, the innermost first.
const mostPlaces = 5

// faultyLines are where the fault was, in this module's own files.
func faultyLines() string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	var out []string
	panicked := false
	for len(out) < mostPlaces {
		frame, more := frames.Next()
		if panicked && strings.HasPrefix(frame.Function, "stackrun.dev/") {
			out = append(out, fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line))
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			break
		}
	}
	return strings.Join(out, " < ")
}
