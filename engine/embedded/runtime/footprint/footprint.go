// Package footprint gives memory back that a process needed for a moment only.
package footprint

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ForgetProgram takes the pages of the process's own program out of its memory. The kernel brings those back that are
// still used, from its cache of the file and many at once. What is left out is what only starting needed, and what was
// embedded in the program and has been copied elsewhere: tens of megabytes.
func ForgetProgram() error {
	ranges, err := programRanges()
	if err != nil {
		return fmt.Errorf("cannot find the program in memory: %w", err)
	}
	for _, r := range ranges {
		_, _, errno := unix.Syscall(unix.SYS_MADVISE, r.start, r.end-r.start, unix.MADV_DONTNEED)
		if errno != 0 {
			return fmt.Errorf("cannot give back the program's pages: %w", errno)
		}
	}
	return nil
}

type addresses struct{ start, end uintptr }

func programRanges() ([]addresses, error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	return unchanged(smaps, program), nil
}

// unchanged finds in the text of proc_pid_smaps(5) the mappings of the file that cannot be written and in which no page
// differs from the file: nothing is lost when their pages are dropped.
func unchanged(smaps []byte, file string) []addresses {
	var found []addresses
	var current *addresses
	lines := bufio.NewScanner(bytes.NewReader(smaps))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 6 && !strings.HasSuffix(fields[0], ":"):
			current = nil
			var r addresses
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &r.start, &r.end); err != nil {
				continue
			}
			if strings.Join(fields[5:], " ") == file && fields[1][0] == 'r' && fields[1][1] == '-' {
				current = &r
			}
		case len(fields) == 3 && fields[0] == "Anonymous:":
			if current != nil && fields[1] == "0" {
				found = append(found, *current)
			}
			current = nil
		}
	}
	return found
}
