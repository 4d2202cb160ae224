package readonly_test

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
	"stackrun.dev/stack/engine/readonly"
)

// reads are the operations of the contract that change nothing. What is not in the list must be refused: a new operation
// is a write until it is put here.
var reads = strings.Fields(`Version Info Events ImageList ImageInspect ImageHistory ImageSave DistributionInspect NetworkList NetworkInspect
	VolumeList VolumeInspect ContainerList ContainerInspect ContainerWait ContainerLogs ContainerTop ContainerStats
	ExecInspect StatPath CopyFrom CompareFiles`)

func TestEveryWriteIsRefused(t *testing.T) {
	e := readonly.New(memory.New())
	contract := reflect.TypeFor[engine.Engine]()
	isRead := map[string]bool{}
	for _, name := range reads {
		if _, ok := contract.MethodByName(name); !ok {
			t.Errorf("%s is no operation of the contract", name)
		}
		isRead[name] = true
	}
	for i := range contract.NumMethod() {
		name := contract.Method(i).Name
		err := call(reflect.ValueOf(e).MethodByName(name))
		if forbidden := errors.Is(err, engine.ErrForbidden); forbidden == isRead[name] {
			t.Errorf("%s: error %v; is it a read? %v", name, err, isRead[name])
		}
	}
}

// call calls a method with zero values and returns the error that it returned, if any.
func call(method reflect.Value) error {
	var args []reflect.Value
	for i := range method.Type().NumIn() {
		if method.Type().In(i) == reflect.TypeFor[context.Context]() {
			args = append(args, reflect.ValueOf(context.Background()))
			continue
		}
		args = append(args, reflect.Zero(method.Type().In(i)))
	}
	for _, out := range method.Call(args) {
		switch v := out.Interface().(type) {
		case error:
			return v
		case iter.Seq2[engine.LogEntry, error]:
			for _, err := range v {
				return err
			}
		}
	}
	return nil
}

func TestReadsReachTheEngine(t *testing.T) {
	behind := memory.New()
	defer behind.Close()
	behind.AddImage("busybox", container.Config{Cmd: []string{"sleep", "1"}})
	made, err := behind.ContainerCreate(t.Context(), "web", engine.CreateConfig{Config: &container.Config{Image: "busybox"}})
	if err != nil {
		t.Fatal(err)
	}
	e := readonly.New(behind)
	c, err := e.ContainerInspect(t.Context(), "web")
	if err != nil || c.ID != made.ID {
		t.Errorf("inspect returned %v, %v", c.ContainerJSONBase, err)
	}
	err = e.ContainerStart(t.Context(), "web")
	if err == nil || err.Error() != "cannot start container web: the engine is used read-only" {
		t.Errorf("start returned %v", err)
	}
	if c, _ := behind.ContainerInspect(t.Context(), "web"); c.State.Running {
		t.Error("it was started")
	}
}
