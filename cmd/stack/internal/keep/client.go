package keep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Client asks the Keeper of the engine that listens on a socket.
type Client struct{ http http.Client }

// NewClient makes a client of the engine at the Unix socket.
func NewClient(socket string) *Client {
	return &Client{http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// errOld: an engine that was started by a version without a Keeper.
var errOld = errors.New("the engine that runs is of another version: end it with stack engine stop, which leaves the containers running, and try again")

func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://stack"+Path+path, &text)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode < http.StatusMultipleChoices:
		return resp, nil
	case resp.StatusCode == http.StatusNotFound:
		err = errOld
	default:
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		err = errors.New(strings.TrimSpace(string(said)))
	}
	return nil, errors.Join(err, resp.Body.Close())
}

// List is what is kept.
func (c *Client) List(ctx context.Context) ([]Kept, error) {
	resp, err := c.do(ctx, http.MethodGet, "", nil)
	if err != nil {
		return nil, fmt.Errorf("cannot ask what the engine keeps: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out []Kept
	return out, json.NewDecoder(resp.Body).Decode(&out)
}

// Put has the engine keep a project.
func (c *Client) Put(ctx context.Context, e Entry) error {
	resp, err := c.do(ctx, http.MethodPut, "/"+e.Project, e)
	if err != nil {
		return fmt.Errorf("cannot have the engine keep project %s: %w", e.Project, err)
	}
	return resp.Body.Close()
}

// Delete has the engine keep a project no longer.
func (c *Client) Delete(ctx context.Context, project string) error {
	resp, err := c.do(ctx, http.MethodDelete, "/"+project, nil)
	if err != nil {
		return fmt.Errorf("cannot end the keeping of project %s: %w", project, err)
	}
	return resp.Body.Close()
}

// Hold lets the project's loop rest until release is called, or this process ends.
func (c *Client) Hold(ctx context.Context, project string) (release func(), err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	resp, err := c.do(ctx, http.MethodPost, "/"+project+"/hold", nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("cannot interrupt the keeping of project %s: %w", project, err)
	}
	return func() {
		cancel()
		_ = resp.Body.Close()
	}, nil
}
