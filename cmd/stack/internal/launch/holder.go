package launch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Holder is who has a project's lock, in its own words.
type Holder struct {
	PID     int       `json:"pid"`
	User    string    `json:"user"`
	Command string    `json:"command"` // for example "stack up -d"
	Since   time.Time `json:"since"`
}

// NewHolder is this process as a holder.
func NewHolder(command string, now time.Time) Holder {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return Holder{PID: os.Getpid(), User: name, Command: command, Since: now}
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "another run"
	}
	text := fmt.Sprintf("%s of %s (process %d", cmp.Or(h.Command, "another run"), h.User, h.PID)
	if !h.Since.IsZero() {
		text += ", since " + h.Since.Local().Format(time.TimeOnly)
	}
	return text + ")"
}

// sign leaves it in the file, for those who wait.
func (h Holder) sign(f *os.File) error {
	data, err := json.Marshal(h)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(data, '\n'), 0)
	}
	if err != nil {
		return fmt.Errorf("cannot write the lock: %w", err)
	}
	return nil
}

// maxHolder is how much is read of what a holder says, in bytes.
const maxHolder = 4 << 10

// readHolder reads it. Others may have written the file: what it says is shown and nothing else, so it must not steer a
// terminal.
func readHolder(f *os.File) Holder {
	buf := make([]byte, maxHolder)
	n, _ := f.ReadAt(buf, 0)
	var h Holder
	if json.Unmarshal(buf[:n], &h) != nil {
		return Holder{}
	}
	h.User, h.Command = printable(h.User), printable(h.Command)
	return h
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}
