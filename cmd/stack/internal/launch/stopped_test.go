package launch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"time"
)

// serveUntil runs an engine in this process until end is called, which tells it to stop and waits for that.
func serveUntil(t *testing.T, target Target) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, target, ServeOptions{Version: "test", Ready: w, Open: openNothing})
	}()
	if err := awaitReady(r); err != nil {
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
}

func openNothing(context.Context, Target, func(int)) (http.Handler, io.Closer, error) {
	return http.NotFoundHandler(), closer(func() error { return nil }), nil
}

var errAsked = errors.New("an engine is to be started")

func ask(Target) (string, error) { return "", errAsked }

// Whoever has lost an engine starts another one, unless it was told to stop and nobody has started one since.
func TestResume(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	target := testTarget(t)
	resume := func(after string, want error) {
		t.Helper()
		if lease, err := Resume(t.Context(), target, ask); !errors.Is(err, want) || lease != nil {
			t.Errorf("after %s: %v, %v; want %v", after, lease, err, want)
		}
	}
	resume("nothing", errAsked)
	serveUntil(t, target)()
	resume("a stop", ErrStopped)
	resume("a stop, again", ErrStopped)
	if _, err := Start(t.Context(), target, ask); !errors.Is(err, errAsked) {
		t.Errorf("a user who asks for an engine gets %v", err)
	}
	resume("a start that has failed", ErrStopped)

	end := serveUntil(t, target)
	lease, err := Resume(t.Context(), target, ask)
	if err != nil {
		t.Fatalf("while one runs: %v", err)
	}
	if target.Stopped() {
		t.Error("it counts as stopped while it runs")
	}
	if err := lease.Close(); err != nil {
		t.Fatal(err)
	}
	end()
	resume("another stop", ErrStopped)

	_, left := serveHere(t, target, time.Millisecond)
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	resume("it has left because nobody needed it", errAsked)
}

// A lease ends after it can be told why: else a command would start the engine that somebody has just stopped.
func TestStoppedBeforeLost(t *testing.T) {
	target := testTarget(t)
	end := serveUntil(t, target)
	lease, err := dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	go end()
	lease.Wait(t.Context())
	if !target.Stopped() {
		t.Error("the lease has ended, and nobody knows that the engine was stopped")
	}
	if err := lease.Close(); err != nil {
		t.Fatal(err)
	}
	again := serveUntil(t, target) // waits for the one before
	again()
}

// Who waits for the start of an engine that was stopped goes on when there is one, or when he gives up.
func TestAwaitStart(t *testing.T) {
	target := testTarget(t)
	serveUntil(t, target)()
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() { given <- AwaitStart(ctx, target) }()
	waited := make(chan error, 1)
	go func() { waited <- AwaitStart(t.Context(), target) }()
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("who gives up gets %v", err)
	}
	select {
	case err := <-waited:
		t.Fatalf("nobody has started an engine: %v", err)
	default:
	}
	end := serveUntil(t, target)
	defer end()
	if err := <-waited; err != nil {
		t.Error(err)
	}
	lease, err := Resume(t.Context(), target, ask)
	if err != nil {
		t.Fatalf("there is none after all: %v", err)
	}
	if err := lease.Close(); err != nil {
		t.Fatal(err)
	}
	if err := AwaitStart(t.Context(), target); err != nil {
		t.Errorf("while one runs: %v", err)
	}
}
