package readonly_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/readonly"
)

// unreachable is an engine in which every call panics: nothing that is refused gets that far.
type unreachable struct{ engine.Engine }

// TestWritesAreRefused calls every method of the contract on an engine that must not be reached. What comes back as an error of kind forbidden was refused; what
// panics was let through, and must be a read.
func TestWritesAreRefused(t *testing.T) {
	e := reflect.ValueOf(readonly.New(unreachable{}))
	contract := reflect.TypeFor[engine.Engine]()
	refused := 0
	for i := range contract.NumMethod() {
		name := contract.Method(i).Name
		err, passed := call(e.MethodByName(name))
		switch {
		case passed && !isRead(name):
			t.Errorf("%s reaches the engine", name)
		case !passed && !errors.Is(err, engine.ErrForbidden):
			t.Errorf("%s returns %v, want forbidden", name, err)
		case !passed && isRead(name):
			t.Errorf("%s is refused, but changes nothing", name)
		case !passed:
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func isRead(name string) bool {
	for _, suffix := range []string{"Version", "Info", "Events", "List", "Inspect", "History", "Save", "Wait", "Logs", "Top", "Stats", "StatPath", "CopyFrom"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

func call(method reflect.Value) (err error, passed bool) {
	defer func() {
		if recover() != nil {
			passed = true
		}
	}()
	args := make([]reflect.Value, method.Type().NumIn())
	for i := range args {
		args[i] = reflect.Zero(method.Type().In(i))
	}
	out := method.Call(args)
	err, _ = out[len(out)-1].Interface().(error)
	return err, false
}
