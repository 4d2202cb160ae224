package image

import (
	"io"
	"sync"
	"time"

	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/opencontainers/go-digest"

	"stackrun.dev/stack/engine"
)

// reportEvery is how often the progress of one layer is told at most.
const reportEvery = 100 * time.Millisecond

// teller tells the progress of several layers, one message at a time.
type teller struct {
	mu     sync.Mutex
	report engine.Progress
}

// say tells the state of a layer, or of the whole operation if id is empty.
func (t *teller) say(id, status string) {
	t.send(jsonmessage.JSONMessage{ID: id, Status: status})
}

func (t *teller) send(m jsonmessage.JSONMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Report(m)
}

// layerName is how a layer is called in messages.
func layerName(dgst digest.Digest) string { return dgst.Encoded()[:12] }

// meter is a reader that tells how far it has come.
type meter struct {
	io.Reader
	teller *teller
	id     string
	status string
	read   int64
	total  int64
	last   time.Time
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.read += int64(n)
	if now := time.Now(); now.Sub(m.last) >= reportEvery {
		m.last = now
		m.teller.send(jsonmessage.JSONMessage{ID: m.id, Status: m.status, Progress: &jsonmessage.JSONProgress{Current: m.read, Total: m.total}})
	}
	return n, err
}
