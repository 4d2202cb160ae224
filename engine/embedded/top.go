package embedded

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/engine"
)

// ContainerTop implements engine.Containers.
func (e *Engine) ContainerTop(ctx context.Context, ref string, psArgs []string) (dockercontainer.TopResponse, error) {
	var none dockercontainer.TopResponse
	c, err := e.find(ref)
	if err != nil {
		return none, err
	}
	record := c.Record()
	if err := checkRuns(&record, "list the processes of"); err != nil {
		return none, err
	}
	pids, err := e.runtime.Pids(ctx, c.ID)
	if err != nil {
		return none, err
	}
	slices.Sort(pids)
	e.containerEvent(&record, events.ActionTop)
	top := fullTop(pids)
	if len(psArgs) > 0 && !slices.Equal(psArgs, []string{"-ef"}) {
		if top, err = psTop(ctx, pids, psArgs); err != nil {
			return none, err
		}
	}
	return top, e.keepOwn(ctx, c.ID, &top)
}

// keepOwn leaves out the processes that are not the container's any more: the number of one that ended while the list was made may
// have been another one's by the time it was looked at.
func (e *Engine) keepOwn(ctx context.Context, id string, top *dockercontainer.TopResponse) error {
	pids, err := e.runtime.Pids(ctx, id)
	column := slices.Index(top.Titles, "PID")
	top.Processes = slices.DeleteFunc(top.Processes, func(row []string) bool {
		pid, err := strconv.Atoi(row[column])
		return err != nil || !slices.Contains(pids, pid)
	})
	return err
}

// fullTop lists the processes as ps -ef does.
func fullTop(pids []int) dockercontainer.TopResponse {
	top := dockercontainer.TopResponse{Titles: []string{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}, Processes: [][]string{}}
	booted, now := bootTime(), time.Now()
	for _, pid := range pids {
		if row := fullRow(pid, booted, now); row != nil {
			top.Processes = append(top.Processes, row)
		}
	}
	return top
}

// Places of values in /proc/<pid>/stat after the command, which stands in parentheses; see proc(5).
const (
	statPPID  = 1
	statTTY   = 4
	statUser  = 11
	statKern  = 12
	statStart = 19
)

// fullRow describes one process; nil if it has ended meanwhile.
func fullRow(pid int, booted, now time.Time) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	open, end := bytes.IndexByte(content, '('), bytes.LastIndexByte(content, ')')
	fields := strings.Fields(string(content[end+1:]))
	if open < 0 || len(fields) <= statStart {
		return nil
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
	used := time.Duration(number(statUser)+number(statKern)) * nanosPerTick
	began := booted.Add(time.Duration(number(statStart)) * nanosPerTick)
	share := 0
	if lived := now.Sub(began); lived > 0 {
		share = min(99, int(100*used/lived))
	}
	return []string{ownerOf(pid), strconv.Itoa(pid), fields[statPPID], strconv.Itoa(share), startText(began, now),
		ttyText(number(statTTY)), clockText(used), commandOf(pid, string(content[open+1:end]))}
}

func bootTime() time.Time {
	content, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return time.Unix(seconds, 0)
		}
	}
	return time.Time{}
}

func ownerOf(pid int) string {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "Uid:" {
			if owner, err := user.LookupId(fields[2]); err == nil {
				return owner.Username
			}
			return fields[2]
		}
	}
	return "?"
}

func startText(began, now time.Time) string {
	if began.YearDay() == now.YearDay() && began.Year() == now.Year() {
		return began.Format("15:04")
	}
	return began.Format("Jan02")
}

// The device numbers of pseudo terminals: major 136, with the upper bits of the minor above the major's.
func ttyText(device int64) string {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	if device == 0 || major != 136 {
		return "?"
	}
	return fmt.Sprintf("pts/%d", minor)
}

func clockText(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

func commandOf(pid int, name string) string {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if len(content) == 0 {
		return "[" + name + "]"
	}
	return strings.TrimSpace(strings.ReplaceAll(string(content), "\x00", " "))
}

// psTop asks the host's ps for other columns than those of ps -ef.
func psTop(ctx context.Context, pids []int, args []string) (dockercontainer.TopResponse, error) {
	var none dockercontainer.TopResponse
	out, err := exec.CommandContext(ctx, "ps", args...).Output()
	if err != nil {
		return none, engine.Errorf(engine.ErrInvalid, "cannot list processes with ps %s: %w", strings.Join(args, " "), err)
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	top := dockercontainer.TopResponse{Titles: strings.Fields(lines[0]), Processes: [][]string{}}
	column := slices.Index(top.Titles, "PID")
	if column < 0 {
		return none, engine.Errorf(engine.ErrInvalid, "cannot list processes with ps %s: the column PID is missing", strings.Join(args, " "))
	}
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) <= column {
			continue
		}
		pid, err := strconv.Atoi(fields[column])
		if err != nil || !slices.Contains(pids, pid) {
			continue
		}
		// The last column is the command, which has spaces.
		if n := len(top.Titles); len(fields) > n {
			fields = append(fields[:n-1:n-1], strings.Join(fields[n-1:], " "))
		}
		top.Processes = append(top.Processes, fields)
	}
	return top, nil
}
