package view

import (
	"fmt"
	"strings"
	"time"
)

// Ago is roughly how long a duration is, in words: "3 minutes", "About an hour". The words and the bounds are those of
// Docker, because people and scripts know them.
func Ago(d time.Duration) string {
	seconds := int(d.Seconds())
	minutes, hours := int(d.Minutes()), int(d.Hours()+0.5)
	switch {
	case seconds < 1:
		return "Less than a second"
	case seconds == 1:
		return "1 second"
	case seconds < 60:
		return fmt.Sprintf("%d seconds", seconds)
	case minutes == 1:
		return "About a minute"
	case minutes < 60:
		return fmt.Sprintf("%d minutes", minutes)
	case hours == 1:
		return "About an hour"
	case hours < 48:
		return fmt.Sprintf("%d hours", hours)
	case hours < 24*7*2:
		return fmt.Sprintf("%d days", hours/24)
	case hours < 24*30*2:
		return fmt.Sprintf("%d weeks", hours/24/7)
	case hours < 24*365*2:
		return fmt.Sprintf("%d months", hours/24/30)
	}
	return fmt.Sprintf("%d years", int(d.Hours())/24/365)
}

// Bytes is a size with three digits and a decimal unit: "12.3MB".
func Bytes(n int64) string {
	value, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	for value >= 1000 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	return fmt.Sprintf("%.3g%s", value, units[unit])
}

// ShortID is the first twelve digits of an ID, without the name of the algorithm.
func ShortID(id string) string {
	if _, digest, ok := strings.Cut(id, ":"); ok {
		id = digest
	}
	return id[:min(12, len(id))]
}
