package model

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
)

// scalarPlan decodes texts, booleans and numbers. Each may be written as a text, because variables give texts.
func scalarPlan(t reflect.Type) plan {
	switch t.Kind() {
	case reflect.String:
		return func(d *decoder, v *tree.Value, to reflect.Value) {
			if d.scalar(v, "a string") {
				to.SetString(v.Text)
			}
		}
	case reflect.Bool:
		return func(d *decoder, v *tree.Value, to reflect.Value) { to.SetBool(d.boolean(v)) }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(d *decoder, v *tree.Value, to reflect.Value) {
			limit := int64(math.MaxInt64) >> (64 - t.Bits())
			to.SetInt(d.whole(v, -limit-1, limit))
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(d *decoder, v *tree.Value, to reflect.Value) {
			limit := int64(math.MaxInt64)
			if t.Bits() < 64 {
				limit = 1<<t.Bits() - 1
			}
			to.SetUint(uint64(d.whole(v, 0, limit)))
		}
	case reflect.Float32, reflect.Float64:
		return func(d *decoder, v *tree.Value, to reflect.Value) { to.SetFloat(d.number(v)) }
	}
	panic("model: no plan for " + t.String())
}

func (d *decoder) scalar(v *tree.Value, what string) bool {
	if v.Scalar() {
		return true
	}
	d.want(v, what)
	return false
}

func (d *decoder) boolean(v *tree.Value) bool {
	if !d.scalar(v, "a boolean") {
		return false
	}
	switch strings.ToLower(v.Text) {
	case "true", "y", "yes", "on":
		return true
	case "false", "n", "no", "off":
		return false
	}
	d.fail(v, ruleType, fmt.Sprintf("%q is neither true nor false", v.Text), "write true or false")
	return false
}

// whole is the whole number of a value between two limits.
func (d *decoder) whole(v *tree.Value, low, high int64) int64 {
	if !d.scalar(v, "a whole number") {
		return 0
	}
	n, err := wholeNumber(v)
	switch {
	case err != nil:
		d.fail(v, ruleType, fmt.Sprintf("%q is not a whole number", v.Text), "")
	case n < low:
		d.fail(v, ruleRange, fmt.Sprintf("%d is below %d", n, low), "")
	case n > high:
		d.fail(v, ruleRange, fmt.Sprintf("%d is above %d", n, high), "")
	default:
		return n
	}
	return 0
}

func wholeNumber(v *tree.Value) (int64, error) {
	if v.Kind != tree.Float {
		return strconv.ParseInt(v.Text, 10, 64)
	}
	f, err := strconv.ParseFloat(v.Text, 64)
	if err == nil && (math.IsNaN(f) || math.Abs(f) >= math.MaxInt64) {
		err = strconv.ErrRange
	}
	return int64(f), err
}

func (d *decoder) number(v *tree.Value) float64 {
	if !d.scalar(v, "a number") {
		return 0
	}
	f, err := strconv.ParseFloat(v.Text, 64)
	if err != nil {
		d.fail(v, ruleType, fmt.Sprintf("%q is not a number", v.Text), "")
	}
	return f
}

// umask is written as YAML writes whole numbers, also in a text: 077 is octal, 77 decimal.
func umask(d *decoder, v *tree.Value, to reflect.Value) {
	if v.Kind == tree.Null || !d.scalar(v, "a whole number") {
		return
	}
	n, err := strconv.ParseUint(v.Text, 0, 32)
	if err != nil {
		d.fail(v, "invalid-mode", fmt.Sprintf("%q is not a umask", v.Text), `write it in octal with a leading 0, for example "022"`)
		return
	}
	mask := uint32(n)
	to.Set(reflect.ValueOf(&mask))
}

// octal is the mode of a tmpfs: octal as a text, and as YAML reads it as a number.
func octal(d *decoder, v *tree.Value, to reflect.Value) {
	switch {
	case v.Kind == tree.Null:
	case v.Kind != tree.String:
		to.SetUint(uint64(d.whole(v, 0, math.MaxUint32)))
	default:
		to.SetUint(uint64(d.mode(v)))
	}
}

// mode is the octal number of a text.
func (d *decoder) mode(v *tree.Value) uint32 {
	n, err := strconv.ParseUint(strings.TrimPrefix(v.Text, "0o"), 8, 32)
	if err != nil {
		d.fail(v, "invalid-mode", fmt.Sprintf("%q is not a file mode", v.Text), `write it in octal, for example "0440"`)
	}
	return uint32(n)
}
