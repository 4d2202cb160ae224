package grammar

import (
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/xhit/go-str2duration/v2"
)

const (
	durationAdvice = "write a number with its unit, for example 30s, 1m30s or 500ms"
	sizeAdvice     = "write a number with its unit, for example 64m or 2g"
)

// Duration checks 1h30m, 500ms and the like; days and weeks are understood too.
func Duration(text string) *Fault {
	if _, err := str2duration.ParseDuration(text); err != nil || strings.TrimLeft(text, "+-") == "" {
		return form("duration", text, "a duration", durationAdvice)
	}
	if strings.HasPrefix(text, "-") {
		return form("duration", text, "a duration: it is below 0", durationAdvice)
	}
	return nil
}

// ProbeDuration is a Duration of a health check: 0, which is the default, or at least as long as engines take.
func ProbeDuration(text string) *Fault {
	if f := Duration(text); f != nil {
		return f
	}
	if d, err := str2duration.ParseDuration(text); err == nil && d != 0 && d < time.Millisecond {
		return form("duration", text, "long enough for a health check", "write 1ms or more")
	}
	return nil
}

// Size checks a number of bytes with or without a unit.
func Size(text string) *Fault {
	if _, err := units.RAMInBytes(text); err != nil {
		return form("size", text, "a size", sizeAdvice)
	}
	return nil
}

// Limit is a size, or -1 for no limit.
func Limit(text string) *Fault {
	if text == "-1" {
		return nil
	}
	return Size(text)
}

// CPUs checks a number of processors.
var CPUs = optional(func(text string) *Fault {
	if n, err := strconv.ParseFloat(text, 64); err != nil || n < 0 || n > 1e6 {
		return form("number", text, "a number of CPUs", `write it as a decimal, for example "0.5"`)
	}
	return nil
})

// CPUSet checks a list of processors, 0-3,5.
var CPUSet = optional(func(text string) *Fault {
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !digits(low) || isRange && !digits(high) {
			return form("cpuset", text, "a set of CPUs", `write numbers and ranges, for example "0-3,5"`)
		}
	}
	return nil
})

// Natural checks a whole number that is not below 0, or a text that says none.
func Natural(text string) *Fault { return atLeast(0, text) }

// NaturalOrUnlimited is Natural, or -1 for no limit.
func NaturalOrUnlimited(text string) *Fault { return atLeast(-1, text) }

func atLeast(least int64, text string) *Fault {
	n, err := strconv.ParseInt(text, 0, 64)
	if err == nil && n < least {
		return form("number", text, "allowed here: the least is "+strconv.FormatInt(least, 10), "")
	}
	return nil
}

// Between checks that a number is from low to high.
func Between(low, high int64) Check {
	return optional(func(text string) *Fault {
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil && n >= low && n <= high {
			return nil
		}
		span := strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10)
		return form("number", text, "a whole number from "+span, "")
	})
}

// Mode checks the permissions of a file in octal.
var Mode = optional(func(text string) *Fault {
	if n, err := strconv.ParseUint(text, 0, 32); err == nil && n <= 0o7777 {
		return nil
	}
	if n, err := strconv.ParseUint(text, 8, 32); err == nil && n <= 0o7777 {
		return nil
	}
	return form("mode", text, "a file mode", `write it in octal, for example "0440"`)
})
