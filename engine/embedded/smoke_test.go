package embedded

import (
	"testing"
	"time"
)

func TestSmokeOpen(t *testing.T) {
	began := time.Now()
	open(t)
	t.Logf("opened in %v", time.Since(began))
}
