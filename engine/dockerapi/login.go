package dockerapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/docker/docker/api/types/registry"

	"stackrun.dev/stack/engine"
)

// dockerHub is the registry that is meant where none is named.
const dockerHub = "registry-1.docker.io"

// login asks the registry whether it accepts the name and the password.
func login(ctx context.Context, auth *registry.AuthConfig) (status, token string, err error) {
	if auth == nil {
		auth = &registry.AuthConfig{}
	}
	host := registryHost(auth.ServerAddress)
	resp, err := ask(ctx, registryURL(host), auth)
	if err != nil {
		return "", "", err
	}
	if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode == http.StatusUnauthorized && strings.HasPrefix(strings.ToLower(challenge), "bearer ") {
		address, err := tokenURL(challenge, auth.Username)
		if err != nil {
			return "", "", engine.Errorf(engine.ErrUnavailable, "cannot log in to %s: %w", host, err)
		}
		if resp, err = ask(ctx, address, auth); err != nil {
			return "", "", err
		}
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return "", "", engine.Errorf(engine.ErrForbidden, "cannot log in to %s: wrong name or password", host)
	case resp.StatusCode >= http.StatusBadRequest:
		return "", "", engine.Errorf(engine.ErrUnavailable, "cannot log in to %s: it answers %s", host, resp.Status)
	}
	return "Login Succeeded", "", nil
}

func ask(ctx context.Context, address string, auth *registry.AuthConfig) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot log in to %s: %w", auth.ServerAddress, err)
	}
	if auth.Username != "" {
		req.SetBasicAuth(auth.Username, auth.Password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, engine.Errorf(engine.ErrUnavailable, "cannot log in to %s: %w", auth.ServerAddress, err)
	}
	resp.Body.Close()
	return resp, nil
}

// registryHost takes the host out of "https://index.docker.io/v1/" and its like.
func registryHost(address string) string {
	address = strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	host, _, _ := strings.Cut(address, "/")
	switch host {
	case "", "docker.io", "index.docker.io":
		return dockerHub
	}
	return host
}

// registryURL uses plain HTTP for registries on this machine only, as Docker does.
func registryURL(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	scheme := "https"
	if addr, err := netip.ParseAddr(name); name == "localhost" || err == nil && addr.IsLoopback() {
		scheme = "http"
	}
	return scheme + "://" + host + "/v2/"
}

// tokenURL reads where to ask for a token: Bearer realm="https://…",service="…".
func tokenURL(challenge, user string) (string, error) {
	values := url.Values{"account": {user}}
	var realm string
	for _, field := range strings.Split(challenge[len("bearer "):], ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(key) {
		case "realm":
			realm = value
		case "service":
			values.Set("service", value)
		}
	}
	address, err := url.Parse(realm)
	if err != nil {
		return "", err
	}
	address.RawQuery = values.Encode()
	return address.String(), nil
}
