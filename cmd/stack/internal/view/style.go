package view

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Style colours text, or leaves it alone. The zero value leaves it alone.
type Style struct{ On bool }

// The colours, as SGR parameters. See ECMA-48, 8.3.117.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	faint  = "2"
	bold   = "1"
)

// NewStyle decides whether what is written to w is coloured: ansi is "always", "never" or "auto", which means when w is
// a terminal and NO_COLOR is not set.
func NewStyle(ansi string, w io.Writer, getenv func(string) string) (Style, error) {
	switch ansi {
	case "always":
		return Style{On: true}, nil
	case "never":
		return Style{}, nil
	case "auto", "":
		return Style{On: IsTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}, nil
	}
	return Style{}, fmt.Errorf("value %q of --ansi is not one of auto, always, never", ansi)
}

func (s Style) paint(sgr, text string) string {
	if !s.On || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w any) bool {
	f, ok := behind(w).(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// size returns the terminal's width and height in characters, 80 by 24 if it does not tell.
func size(w io.Writer) (width, height int) {
	if f, ok := behind(w).(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}

// Clean keeps text of others from steering the terminal: control characters are shown as question marks, white space
// becomes one blank.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return '?'
		}
		return r
	}, text)
}
