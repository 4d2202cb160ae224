package model

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

// command is of a list, or of a text that is split as a shell does.
func (d *decoder) command(v *tree.Value) types.ShellCommand {
	if v.Kind != tree.String {
		return d.strings(v)
	}
	var out types.ShellCommand
	if err := out.DecodeMapstructure(v.Text); err != nil {
		d.fail(v, "invalid-command", fmt.Sprintf("the command %q cannot be split into words: %v", v.Text, err), "close the quotes, or write a list")
	}
	return out
}

// test is of a list, or of a text for the shell.
func (d *decoder) test(v *tree.Value) types.HealthCheckTest {
	if v.Scalar() {
		return types.HealthCheckTest{"CMD-SHELL", v.Text}
	}
	return d.strings(v)
}

func (d *decoder) size(v *tree.Value) types.UnitBytes {
	if !d.scalar(v, "a size") {
		return 0
	}
	if v.Kind != tree.String {
		return types.UnitBytes(d.whole(v, math.MinInt64, math.MaxInt64))
	}
	var out types.UnitBytes
	if out.DecodeMapstructure(v.Text) != nil {
		d.fail(v, "invalid-size", fmt.Sprintf("%q is not a size", v.Text), "write a number with its unit, for example 64m or 2g")
	}
	return out
}

func (d *decoder) duration(v *tree.Value) types.Duration {
	var out types.Duration
	if d.scalar(v, "a duration") && out.DecodeMapstructure(v.Text) != nil {
		d.fail(v, "invalid-duration", fmt.Sprintf("%q is not a duration", v.Text), "write a number with its unit, for example 30s, 1m30s or 500ms")
	}
	return out
}

func (d *decoder) cpus(v *tree.Value) types.NanoCPUs { return types.NanoCPUs(d.number(v)) }

// count is how many devices; all is -1.
func (d *decoder) count(v *tree.Value) types.DeviceCount {
	if v.Kind == tree.String && strings.EqualFold(v.Text, "all") {
		return -1
	}
	if v.Kind == tree.String {
		n, err := strconv.ParseInt(v.Text, 10, 64)
		if err != nil {
			d.fail(v, ruleType, fmt.Sprintf("%q is not a number of devices", v.Text), "write a whole number or all")
		}
		return types.DeviceCount(n)
	}
	return types.DeviceCount(d.whole(v, math.MinInt64, math.MaxInt64))
}

// fileMode is octal as a text, and as YAML reads it as a number.
func (d *decoder) fileMode(v *tree.Value) types.FileMode {
	if v.Kind == tree.String {
		return types.FileMode(d.mode(v))
	}
	return types.FileMode(d.whole(v, 0, math.MaxInt64))
}

// ulimit is one number for both limits, or each of them.
func (d *decoder) ulimit(v *tree.Value) types.UlimitsConfig {
	if v.Scalar() {
		return types.UlimitsConfig{Single: int(d.whole(v, math.MinInt64, math.MaxInt64))}
	}
	if v.Kind != tree.Map {
		d.want(v, "a whole number or a mapping")
	}
	var out types.UlimitsConfig
	for _, e := range v.Entries {
		switch e.Key {
		case "soft":
			out.Soft = int(d.whole(e.Value, math.MinInt64, math.MaxInt64))
		case "hard":
			out.Hard = int(d.whole(e.Value, math.MinInt64, math.MaxInt64))
		}
	}
	return out
}

// external is a boolean. Where it is still a mapping, Canonical could not reconcile its name with the other one.
func (d *decoder) external(v *tree.Value) types.External {
	if v.Kind == tree.Map {
		d.fail(v, ruleDouble, "external.name and name are not the same", "write external: true, and one name")
		return false
	}
	return types.External(d.boolean(v))
}
