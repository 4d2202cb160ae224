package project

import "context"

// await returns what read returns, or the context's error as soon as that ends. Read is left behind then: to open a pipe that
// nobody writes to, or to read a terminal, takes as long as it likes and cannot be interrupted.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := read()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
