package e2e

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// TestCasestudy3: a bad token shows in the logger's output, which is followed, the moment it is used.
func TestCasestudy3(t *testing.T) {
	h := examplesHost(t)
	dir := h.example("casestudy3")
	port := freePort(t)
	setEnv(t, dir, map[string]string{"SERVER_PORT": port, "COMPOSE_PROJECT_NAME": "e2ecase3"})
	t.Cleanup(func() {
		h.t = t
		h.stack(dir, "down", "-v", "-t", "2")
	})
	h.stack(dir, "up", "-d", "--wait")

	logs := h.command(dir, "logs", "-f", "logger")
	out, err := logs.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := logs.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = logs.Process.Kill()
		_ = logs.Wait()
	}()
	found := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "invalid token") {
				found <- lines.Text()
				return
			}
		}
		close(found)
	}()

	base := "http://127.0.0.1:" + port
	if code := ask(t, base+"/hidden_resource", "Bearer not-a-token"); code != http.StatusUnauthorized {
		t.Errorf("a bad token is answered %d", code)
	}
	line, ok := <-found
	if !ok || !strings.Contains(line, "/hidden_resource") {
		t.Fatalf("the logger does not show the bad token: %q", line)
	}
	tokenWorks(t, base)
}

func ask(t *testing.T, url, authorization string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	code, _ := site{t: t}.answer(http.DefaultClient.Do(req))
	return code
}

func tokenWorks(t *testing.T, base string) {
	t.Helper()
	const who = `{"username":"ada","password":"correct horse"}`
	send := func(path string) (int, string) {
		return site{t: t}.answer(http.Post(base+path, "application/json", strings.NewReader(who)))
	}
	if code, body := send("/register"); code != http.StatusCreated {
		t.Fatalf("/register answers %d: %s", code, body)
	}
	code, body := send("/login")
	token := strings.TrimSuffix(strings.TrimPrefix(body, `{"token":"`), `"}`)
	if code != http.StatusOK || token == body {
		t.Fatalf("/login answers %d: %s", code, body)
	}
	if code := ask(t, base+"/hidden_resource", "Bearer "+token); code != http.StatusOK {
		t.Errorf("a good token is answered %d", code)
	}
}
