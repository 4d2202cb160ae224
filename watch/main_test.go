package watch_test

import (
	"os"
	"testing"

	"stackrun.dev/stack/watch/watchtest"
)

func TestMain(m *testing.M) { os.Exit(watchtest.Held(m).Run()) }
