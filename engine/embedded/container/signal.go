package container

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// The bounds of the real-time signals as the C library numbers them for programs.
const (
	signalRTMin = 34
	signalRTMax = 64
)

// ParseSignal reads a signal's name, with or without SIG, or its number.
func ParseSignal(name string) (syscall.Signal, error) {
	invalid := engine.Errorf(engine.ErrInvalid, "invalid signal: %s", name)
	if number, err := strconv.Atoi(name); err == nil {
		if number < 1 || number > signalRTMax {
			return 0, invalid
		}
		return syscall.Signal(number), nil
	}
	upper := strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if sig := unix.SignalNum("SIG" + upper); sig != 0 {
		return sig, nil
	}
	base, offset := 0, ""
	switch {
	case strings.HasPrefix(upper, "RTMIN"):
		base, offset = signalRTMin, strings.TrimPrefix(upper[len("RTMIN"):], "+")
	case strings.HasPrefix(upper, "RTMAX"):
		base, offset = signalRTMax, upper[len("RTMAX"):]
	default:
		return 0, invalid
	}
	if offset == "" {
		return syscall.Signal(base), nil
	}
	n, err := strconv.Atoi(offset)
	if err != nil || base+n < signalRTMin || base+n > signalRTMax {
		return 0, invalid
	}
	return syscall.Signal(base + n), nil
}
