// Command web is what the tests of updates run in containers: a web server, its health check, and a client that asks at a
// steady rate and counts what fails.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fatal(errors.New("web serve, check or load"))
	}
	commands := map[string]func(args []string) error{"serve": serve, "check": check, "load": load}
	run := commands[os.Args[1]]
	if run == nil {
		fatal(fmt.Errorf("there is no command %q", os.Args[1]))
	}
	if err := run(os.Args[2:]); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "web:", err)
	os.Exit(1)
}

// serve answers every request on port 80 with a text. On SIGTERM it finishes what it has begun, unless it is rude.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	text := flags.String("text", "hello", "what is answered")
	work := flags.Duration("work", 2*time.Millisecond, "how long an answer takes")
	slow := flags.Duration("slow", 0, "how long it takes until the server listens")
	rude := flags.Bool("rude", false, "end at once when asked to end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	time.Sleep(*slow)
	server := &http.Server{Addr: ":80", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(*work)
		fmt.Fprint(w, *text)
	})}
	asked, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	over := make(chan error, 1)
	go func() { over <- server.ListenAndServe() }()
	select {
	case err := <-over:
		return err
	case <-asked.Done():
	}
	if *rude {
		return nil
	}
	return server.Shutdown(context.Background())
}

// check asks the server on this machine.
func check([]string) error {
	res, err := http.Get("http://127.0.0.1/")
	if err == nil {
		err = res.Body.Close()
	}
	return err
}

// Result is what load prints when it has ended.
type Result struct {
	Sent    int            // requests
	Failed  int            // those without an answer
	Answers map[string]int // by text
	Errors  map[string]int // by message
	Slowest time.Duration
}

// load asks an address at a rate, whether earlier requests were answered or not, each over a connection of its own and
// after looking the name up anew. It ends on SIGTERM or SIGINT, or when its standard input is a pipe and
// ends.
func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	rate := flags.Int("rate", 200, "requests a second")
	patience := flags.Duration("patience", 10*time.Second, "how long an answer may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("web load HOST:PORT")
	}
	asked, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if in, err := os.Stdin.Stat(); err == nil && in.Mode()&os.ModeNamedPipe != 0 {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	fmt.Fprintln(os.Stderr, "asking")
	count := &counter{result: Result{Answers: map[string]int{}, Errors: map[string]int{}}}
	between := time.Second / time.Duration(*rate)
	tick := time.NewTicker(between)
	defer tick.Stop()
	var under sync.WaitGroup
	for due := time.Now(); ; {
		select {
		case <-tick.C:
			for ; time.Since(due) > 0; due = due.Add(between) { // a tick may have been left out on a busy machine
				under.Go(func() { count.one(flags.Arg(0), *patience) })
			}
			continue
		case <-asked.Done():
		}
		under.Wait()
		return json.NewEncoder(os.Stdout).Encode(count.result)
	}
}

type counter struct {
	mu     sync.Mutex
	result Result
}

// one makes a request and counts it.
func (c *counter) one(address string, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	answer, err := ask(ctx, address)
	took := time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Sent++
	c.result.Slowest = max(c.result.Slowest, took)
	if err != nil {
		c.result.Failed++
		c.result.Errors[err.Error()]++
		return
	}
	c.result.Answers[answer]++
}

func ask(ctx context.Context, address string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialOne}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return string(body), err
}

// dialOne looks the name up and tries one of its addresses only: a second try would hide that the first failed.
func dialOne(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort(found[rand.IntN(len(found))], port))
}
