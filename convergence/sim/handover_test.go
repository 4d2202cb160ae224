package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

// Version says nothing about handing over: tests say themselves what they plan for.
func (f *fake) Version(context.Context) (types.Version, error) { return types.Version{}, nil }

func TestTheLabelIsTheEngines(t *testing.T) {
	if desired.LabelTakesOver != engine.LabelTakesOver {
		t.Errorf("plans write the label %s, engines read %s", desired.LabelTakesOver, engine.LabelTakesOver)
	}
}

// site is a service with a port of the host that cannot be had twice, and slow to be there.
func site(order desired.Order, page string) string {
	return fmt.Sprintf(`services:
  web:
    image: web
    command: sh -c "mkdir -p /www; echo %s > /www/index.html; sleep 3; httpd -f -p 80 -h /www"
    ports: ["8080:80"]
    healthcheck: {test: "wget -q -O - http://127.0.0.1/", interval: 1s, retries: 100}
    deploy: {update_config: {order: %s}}
`, page, order)
}

// Whoever asks while a service is updated with the new container first gets an answer, and gets none meanwhile if the old one
// is stopped first. Each step is asked about, and the time between them.
func TestAnUpdateKeepsAnswering(t *testing.T) {
	for order, silent := range map[desired.Order]bool{desired.StartFirst: false, desired.StopFirst: true} {
		t.Run(string(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := memory.New()
				defer e.Close()
				e.AddImage("web", container.Config{})
				if _, err := convergence.Run(t.Context(), e, want(t, site(order, "old")), convergence.Options{}, nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second) // until it listens
				answers := asking(t, e)
				if _, err := convergence.Run(t.Context(), e, want(t, site(order, "new")), convergence.Options{}, nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				got := answers()
				if got["old\n"] == 0 || got["new\n"] == 0 || silent != (got["nobody"] > 0) {
					t.Errorf("the answers were %v", got)
				}
			})
		})
	}
}

// asking asks the port after every event and every 10 ms, until it is called; then it returns the answers with their
// number.
func asking(t *testing.T, e *memory.Engine) func() map[string]int {
	ctx, cancel := context.WithCancel(t.Context())
	happened, errs := e.Events(ctx, events.ListOptions{Filters: filters.NewArgs()})
	answers := make(map[string]int)
	var over sync.WaitGroup
	over.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-happened:
			case <-tick.C:
			case <-errs:
				return
			}
			answers[page(e)]++
		}
	})
	return func() map[string]int {
		cancel()
		over.Wait()
		return answers
	}
}

// page is what the published port answers.
func page(e *memory.Engine) string {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return e.Dial(ctx, network, address)
	}}}
	res, err := client.Get("http://127.0.0.1:8080/")
	if errors.As(err, new(*net.OpError)) {
		return "nobody"
	}
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return strings.Clone(string(body))
}

// A new container has the port of a range that the old one had, and leaves the others to replicas that are added.
func TestAPortOfARangeStays(t *testing.T) {
	const service = "services: {web: {image: app, command: [sleep, '%d'], ports: ['8000-8002:80'], scale: %d, deploy: {update_config: {order: start-first}}}}\n"
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{})
		var before []uint16
		for i, scale := range []int{1, 1, 2, 3, 3} {
			if _, err := convergence.Run(t.Context(), e, want(t, fmt.Sprintf(service, i+100, scale)), convergence.Options{}, nil); err != nil {
				t.Fatal(err)
			}
			list, err := e.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("name", "x-web-1"))})
			if err != nil {
				t.Fatal(err)
			}
			var now []uint16
			for _, c := range list {
				for _, p := range c.Ports {
					now = append(now, p.PublicPort)
				}
			}
			if len(now) != 1 || before != nil && !slices.Equal(now, before) {
				t.Errorf("round %d: port %v, before %v", i, now, before)
			}
			before = now
		}
	})
}
