package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

// The same service in three forms, each with everything that can be changed in place. The last form states nothing of what an
// engine can take back.
const (
	inPlaceFirst = `
    restart: unless-stopped
    mem_limit: 64m
    memswap_limit: 96m
    mem_reservation: 32m
    cpus: 0.5
    cpu_shares: 512
    cpuset: "0"
    pids_limit: 50
    networks:
      front: {aliases: [first], ipv4_address: 10.213.8.7}
      back: {}
`
	inPlaceSecond = `
    restart: on-failure:3
    mem_limit: 256m
    memswap_limit: 512m
    mem_reservation: 48m
    cpus: 0.75
    cpu_shares: 256
    cpuset: "0,1"
    pids_limit: 70
    networks:
      front: {aliases: [second], ipv4_address: 10.213.8.9}
      side: {aliases: [aside]}
`
	inPlaceThird = `
    mem_limit: 256m
    mem_reservation: 48m
    cpus: 0.75
    cpu_shares: 256
    cpuset: "0,1"
    networks:
      side: {aliases: [aside]}
`
	inPlaceRest = `
  quota:
    image: e2e/clients:1
    command: ["sleep", "1000"]
    init: true
    stop_grace_period: 0s
    cpu_period: 50000
    cpu_quota: QUOTA
    networks: [back]
networks:
  front: {ipam: {config: [{subnet: 10.213.8.0/24}]}}
  back: {}
  side: {}
`
)

func inPlaceProject(form, quota string) string {
	return "name: inplace\nservices:\n  web:\n    image: " + testImage + "\n    command: [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/etc\"]\n" +
		"    init: true\n    stop_grace_period: 0s\n    ports: [\"18082:80\"]" + form + strings.ReplaceAll(inPlaceRest, "QUOTA", quota)
}

// inPlace is a project on some engine.
type inPlace struct {
	t      *testing.T
	stack  func(args ...string) (string, int)
	docker func(args ...string) string
	page   func() string // what the published port answers
	dir    string
	ids    map[string]string
}

func TestChangesInPlace(t *testing.T) {
	h := newHost(t)
	h.stack(h.dir, "image", "import", h.imageFile(), testImage)
	dir := h.write("inplace", nil)
	p := &inPlace{t: t, dir: dir, docker: h.docker}
	p.stack = func(args ...string) (string, int) {
		cmd := h.command(dir, args...)
		out, _ := cmd.CombinedOutput() // the exit code tells
		return string(out), cmd.ProcessState.ExitCode()
	}
	p.page = func() string {
		_, body := site{t, "http://127.0.0.1:18082"}.get("/hostname")
		return body
	}
	p.changes()
}

func TestChangesInPlaceOnDocker(t *testing.T) {
	o := newOnDocker(t)
	o.dir = o.write("inplace", nil)
	p := &inPlace{t: t, dir: o.dir, stack: o.told, docker: o.docker.do}
	p.page = func() string { return o.fetch("http://127.0.0.1:18082/hostname") }
	p.changes()
}

func (p *inPlace) changes() {
	p.up(inPlaceProject(inPlaceFirst, "25000"))
	p.ids = p.containers()
	p.reports("web", map[string]string{"memory": "67108864 100663296 33554432", "cpu": "500000000 512 0", "pids": "50", "restart": "unless-stopped", "front": "10.213.8.7 first", "networks": "inplace_back inplace_front"})

	p.up(inPlaceProject(inPlaceSecond, "30000"))
	p.same()
	p.reports("web", map[string]string{"memory": "268435456 536870912 50331648", "cpu": "750000000 256 0,1", "pids": "70", "restart": "on-failure:3", "front": "10.213.8.9 second", "networks": "inplace_front inplace_side"})
	p.reports("quota", map[string]string{"quota": "50000 30000"})
	p.byHand()

	p.up(inPlaceProject(inPlaceThird, "30000"))
	p.same()
	p.reports("web", map[string]string{"memory": "268435456 536870912 50331648", "pids": "", "restart": "no", "networks": "inplace_side"})
	if page := p.page(); page == "" {
		p.t.Error("the published port does not answer after the networks have changed")
	}
	p.do("restart", "web")
	p.nothingToDo()
	if page := p.page(); page == "" {
		p.t.Error("the published port does not answer after a restart")
	}

	p.up(inPlaceProject(strings.Replace(inPlaceThird, "    mem_limit: 256m\n", "", 1), "30000"))
	now := p.containers()
	if now["web"] == p.ids["web"] || now["quota"] != p.ids["quota"] {
		p.t.Errorf("a limit is taken away: %v, before %v", now, p.ids)
	}
	p.do("down", "-v", "-t", "0")
}

// byHand does what others may do with other tools, and lets up put it right.
func (p *inPlace) byHand() {
	p.t.Helper()
	p.docker("update", "--restart", "no", "--memory", "100m", "--memory-swap", "200m", "--pids-limit", "9", "inplace-web-1")
	p.docker("network", "disconnect", "inplace_side", "inplace-web-1")
	p.docker("network", "connect", "inplace_side", "inplace-web-1")
	p.docker("network", "disconnect", "inplace_back", "inplace-quota-1")
	p.docker("network", "create", "elsewhere")
	p.docker("network", "connect", "elsewhere", "inplace-web-1")
	out, code := p.stack("plan")
	for _, want := range []string{
		"update container inplace-web-1: restart changed: no → on-failure:3, memory changed: 100m → 256m", "memswap_limit changed: 200m → 512m", "pids_limit changed: 9 → 70",
		"network side: alias aside is missing", "connect network inplace_back to inplace-quota-1: it was disconnected", "elsewhere",
	} {
		if code != 2 || !strings.Contains(out, want) {
			p.t.Errorf("plan ended with %d, and does not say %q:\n%s", code, want, out)
		}
	}
	p.do("up", "-d")
	p.nothingToDo()
	p.same()
	p.reports("web", map[string]string{"memory": "268435456 536870912 50331648", "restart": "on-failure:3", "pids": "70", "networks": "elsewhere inplace_front inplace_side"})
	p.docker("network", "disconnect", "elsewhere", "inplace-web-1")
	p.docker("network", "rm", "elsewhere")
}

// up brings the project up from the text, and then there is nothing to do.
func (p *inPlace) up(text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.do("up", "-d")
	p.nothingToDo()
}

func (p *inPlace) do(args ...string) {
	p.t.Helper()
	if out, code := p.stack(args...); code != 0 {
		p.t.Fatalf("%v ended with %d:\n%s", args, code, out)
	}
}

func (p *inPlace) nothingToDo() {
	p.t.Helper()
	if out, code := p.stack("plan"); code != 0 {
		p.t.Errorf("after up, plan ended with %d:\n%s", code, out)
	}
}

// containers are the IDs by service.
func (p *inPlace) containers() map[string]string {
	p.t.Helper()
	out := map[string]string{}
	for _, name := range []string{"web", "quota"} {
		out[name] = p.inspect(name).ID
	}
	return out
}

func (p *inPlace) same() {
	p.t.Helper()
	if now := p.containers(); !maps.Equal(now, p.ids) {
		p.t.Fatalf("containers were made anew: %v, before %v", now, p.ids)
	}
}

func (p *inPlace) inspect(service string) container.InspectResponse {
	p.t.Helper()
	var found []container.InspectResponse
	if err := json.Unmarshal([]byte(p.docker("inspect", "inplace-"+service+"-1")), &found); err != nil || len(found) != 1 {
		p.t.Fatalf("%d containers, %v", len(found), err)
	}
	return found[0]
}

// reports compares what the engine says of a service's container.
func (p *inPlace) reports(service string, want map[string]string) {
	p.t.Helper()
	c := p.inspect(service)
	h, text := c.HostConfig, func(parts ...any) string { return strings.TrimSuffix(fmt.Sprintln(parts...), "\n") }
	got := map[string]string{
		"memory":   text(h.Memory, h.MemorySwap, h.MemoryReservation),
		"cpu":      text(h.NanoCPUs, h.CPUShares, h.CpusetCpus),
		"quota":    text(h.CPUPeriod, h.CPUQuota),
		"restart":  string(h.RestartPolicy.Name),
		"networks": strings.Join(slices.Sorted(maps.Keys(c.NetworkSettings.Networks)), " "),
	}
	if h.RestartPolicy.MaximumRetryCount > 0 {
		got["restart"] += ":" + text(h.RestartPolicy.MaximumRetryCount)
	}
	if h.PidsLimit != nil && *h.PidsLimit > 0 {
		got["pids"] = text(*h.PidsLimit)
	}
	if front := c.NetworkSettings.Networks["inplace_front"]; front != nil {
		aliases := slices.DeleteFunc(slices.Clone(front.Aliases), func(a string) bool { return a == "web" || a == "inplace-web-1" || a == c.ID[:12] })
		got["front"] = text(front.IPAddress, strings.Join(aliases, " "))
	}
	for name, value := range want {
		if got[name] != value {
			p.t.Errorf("%s of %s is %q, and not %q", name, service, got[name], value)
		}
	}
}
