package buildkit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/opencontainers/go-digest"
)

// at is a moment of the test's own time.
func at(seconds float64) *time.Time {
	t := time.Unix(1000, 0).Add(time.Duration(seconds * float64(time.Second)))
	return &t
}

func step(name string, started, completed *time.Time) *client.Vertex {
	return &client.Vertex{Digest: digest.FromString(name), Name: name, Started: started, Completed: completed}
}

func said(step, text string, seconds float64) *client.VertexLog {
	return &client.VertexLog{Vertex: digest.FromString(step), Data: []byte(text), Timestamp: *at(seconds)}
}

func fetched(step, id string) *client.VertexStatus {
	return &client.VertexStatus{Vertex: digest.FromString(step), ID: id, Current: 2, Completed: at(1)}
}

// print is what the messages look like, without the empty lines between steps.
func print(messages ...*client.SolveStatus) string {
	var out strings.Builder
	p := NewPrinter(func(m jsonmessage.JSONMessage) { out.WriteString(m.Stream) }, false)
	for _, m := range messages {
		p.Update(m)
	}
	p.Close()
	return strings.ReplaceAll(out.String(), "\n\n", "\n")
}

func TestOrderOfLines(t *testing.T) {
	type (
		message  = client.SolveStatus
		steps    = []*client.Vertex
		logs     = []*client.VertexLog
		statuses = []*client.VertexStatus
	)
	for name, c := range map[string]struct {
		messages []*message
		want     string
	}{
		"all in one message": {
			[]*message{{Vertexes: steps{step("a", at(0), at(1))}, Statuses: statuses{fetched("a", "f")}, Logs: logs{said("a", "x\n", 0.5)}}},
			"#1 a\n#1 f 2B done\n#1 0.500 x\n#1 DONE 1.0s\n",
		},
		"the rest comes with the next message": {
			[]*message{
				{Vertexes: steps{step("a", at(0), at(1))}},
				{Vertexes: steps{step("b", at(1), nil)}, Statuses: statuses{fetched("a", "f")}, Logs: logs{said("b", "y\n", 2), said("a", "x\n", 0.5)}},
			},
			"#1 a\n#1 f 2B done\n#1 0.500 x\n#1 DONE 1.0s\n#2 b\n#2 1.000 y\n",
		},
		"a status that comes later is left out, output is not": {
			[]*message{{Vertexes: steps{step("a", at(0), at(1))}}, {}, {Statuses: statuses{fetched("a", "f")}, Logs: logs{said("a", "x", 0.5)}}},
			"#1 a\n#1 DONE 1.0s\n#1 0.500 x\n",
		},
		"a step that goes on has not ended": {
			[]*message{
				{Vertexes: steps{step("a", at(0), at(1))}},
				{Vertexes: steps{step("a", at(2), nil)}, Logs: logs{said("a", "x\n", 2.5)}},
				{Vertexes: steps{step("a", at(2), at(3))}},
			},
			"#1 a\n#1 2.500 x\n#1 DONE 3.0s\n",
		},
		"a step that goes on after its end was told": {
			[]*message{
				{Vertexes: steps{step("a", at(0), at(1))}}, {},
				{Vertexes: steps{step("a", at(2), nil)}, Statuses: statuses{fetched("a", "f")}},
				{Vertexes: steps{step("a", at(2), at(3))}},
			},
			"#1 a\n#1 DONE 1.0s\n#1 f 2B done\n",
		},
		"an end that is told twice is printed once": {
			[]*message{{Vertexes: steps{step("a", at(0), at(1))}}, {Vertexes: steps{step("a", at(0), at(1))}}, {Vertexes: steps{step("a", at(0), at(1))}}},
			"#1 a\n#1 DONE 1.0s\n",
		},
		"a step that waits is not printed": {
			[]*message{{Vertexes: steps{step("a", nil, nil)}}, {Vertexes: steps{step("b", at(0), nil)}}},
			"#1 b\n",
		},
		"the last line has no end": {
			[]*message{{Vertexes: steps{step("a", at(0), nil)}, Logs: logs{said("a", "10%\r20%", 0.5)}}, {Vertexes: steps{step("a", at(0), at(1))}}},
			"#1 a\n#1 1.000 20%\n#1 DONE 1.0s\n",
		},
	} {
		if got := print(c.messages...); got != c.want {
			t.Errorf("%s:\n%swant\n%s", name, got, c.want)
		}
	}
}

// The error has what the step printed last, also the line that was not ended.
func TestTailOfTheError(t *testing.T) {
	p := NewPrinter(nil, true)
	p.Update(&client.SolveStatus{Vertexes: []*client.Vertex{step("a", at(0), nil)}, Logs: []*client.VertexLog{said("a", "one\ntwo", 0.5)}})
	p.Update(&client.SolveStatus{Vertexes: []*client.Vertex{step("a", at(0), at(1))}})
	p.Close()
	err := p.Explain(context.Background(), errdefs.WrapVertex(errors.New("it broke"), digest.FromString("a")), "Dockerfile")
	if err.Error() != "Dockerfile: it broke\none\ntwo" {
		t.Errorf("error: %v", err)
	}
}
