package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

const rareAttributes = `
services:
  web:
    image: e2e/busybox:1
    command: sleep 3600
    init: true
    user: "1000:1001"
    group_add: [2000]
    working_dir: /tmp
    hostname: probe
    domainname: example.com
    read_only: true
    tmpfs: ["/scratch:size=1m,mode=1733"]
    shm_size: 3m
    oom_score_adj: 77
    cap_drop: [ALL]
    cap_add: [NET_RAW]
    security_opt: ["no-new-privileges:true"]
    cgroup: private
    devices: ["/dev/zero:/dev/nought:r"]
    sysctls: {net.ipv4.ip_unprivileged_port_start: 99}
    ulimits: {nofile: {soft: 111, hard: 222}, core: 0}
    dns_search: [find.example]
    dns_opt: ["ndots:3"]
    extra_hosts: {far: [192.0.2.7, "2001:db8::7"]}
    stop_signal: SIGUSR1
    stop_grace_period: 1500ms
    cpu_count: 1
    annotations: {org.example.note: of web}
    label_file: [web.labels]
    labels: {stated: here}
    networks:
      front: {interface_name: lan7, ipv4_address: 10.213.7.9, mac_address: "02:00:00:00:07:09", aliases: [other-name]}
      back: {gw_priority: 5, interface_name: wan0}
    volumes:
      - {type: tmpfs, target: /t, tmpfs: {size: 2m, mode: 0750}}
      - {type: bind, source: ./created, target: /created}
      - {type: bind, source: ./compose.yaml, target: /ro/compose.yaml, read_only: true, bind: {create_host_path: false}}
    configs:
      - {source: written, uid: "1000", gid: "7", mode: 0550}
      - {source: of_file, target: /etc/of_file}
      - {source: of_file, target: /etc/owned, uid: "1000", mode: 0600}
    secrets:
      - {source: of_env, gid: "8", mode: 0440}
configs:
  written: {content: "for ${WHO}"}
  of_file: {file: ./file.conf}
secrets:
  of_env: {environment: TOKEN}
networks:
  front: {ipam: {config: [{subnet: 10.213.7.0/24}]}, internal: true}
  back:
`

// TestRareAttributes: what is seldom written in Compose files reaches the container, as its processes see it.
func TestRareAttributes(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.write("rare", map[string]string{
		"compose.yaml": rareAttributes, ".env": "WHO=everybody\nTOKEN=hush", "file.conf": "as it is", "web.labels": "from=the file\nstated=there",
	})
	t.Cleanup(func() { h.stack(dir, "down", "-v", "-t", "0") })
	h.stack(dir, "up", "-d")
	for command, want := range map[string]string{
		"id -u; id -g; id -G":                                                  "1000 1001 1001 2000",
		"pwd":                                                                  "/tmp",
		"cat /proc/1/comm /proc/1/oom_score_adj":                               "* 77",
		"hostname; hostname -f":                                                "probe probe.example.com",
		"touch /new 2>&1":                                                      "touch: /new: Read-only file system",
		"touch /scratch/new && stat -c %a /scratch":                            "1733",
		"grep ' /scratch ' /proc/mounts":                                       "*,size=1024k*",
		"stat -c %a /t; grep ' /t ' /proc/mounts":                              "750 *,size=2048k*",
		"grep ' /dev/shm ' /proc/mounts":                                       "*,size=3072k*",
		"grep CapBnd /proc/1/status":                                           "CapBnd: 0000000000002000",
		"grep NoNewPrivs /proc/self/status":                                    "NoNewPrivs: 1",
		"head -c 1 /dev/nought | od -An -tx1; echo > /dev/nought":              "00*",
		"cat /proc/sys/net/ipv4/ip_unprivileged_port_start":                    "99",
		"ulimit -Sn; ulimit -Hn; ulimit -c":                                    "111 222 0",
		"grep -h -e search -e options /etc/resolv.conf":                        "search find.example options ndots:3",
		"grep far /etc/hosts":                                                  "192.0.2.7 far 2001:db8::7 far",
		"ip -o addr show lan7 | grep -o 'inet [0-9.]*'":                        "inet 10.213.7.9",
		"cat /sys/class/net/lan7/address":                                      "02:00:00:00:07:09",
		"ip route | grep ^default | grep -o 'dev [a-z0-9]*'":                   "dev wan0",
		"nslookup other-name. 2>/dev/null":                                     "*10.213.7.9*",
		"stat -c '%u:%g %a' /written; cat /written":                            "1000:7 550 for everybody",
		"cat /etc/of_file; echo > /etc/of_file":                                "as it is*",
		"stat -c '%u:%g %a' /etc/owned; cat /etc/owned":                        "1000:0 400 as it is",
		"stat -c '%u:%g %a' /run/secrets/of_env":                               "0:8 440",
		"stat -c %F /created; grep -c ' /ro/compose.yaml .* ro,' /proc/mounts": "directory 1",
	} {
		t.Run(command, func(t *testing.T) {
			out, err := h.try(dir, "exec", "-T", "web", "busybox", "sh", "-c", command)
			if got := strings.Join(strings.Fields(out), " "); !matches(got, want) {
				t.Errorf("got %q, want %q (%v)", got, want, err)
			}
		})
	}
	inspectRareAttributes(t, h)
}

// inspectRareAttributes looks at what only the engine sees.
func inspectRareAttributes(t *testing.T, h *host) {
	c := inspect(t, h, "rare-web-1")
	for what, differs := range map[string]bool{
		"annotation":   c.HostConfig.Annotations["org.example.note"] != "of web",
		"label_file":   c.Config.Labels["from"] != "the file" || c.Config.Labels["stated"] != "here",
		"stop signal":  c.Config.StopSignal != "SIGUSR1",
		"grace period": c.Config.StopTimeout == nil || *c.Config.StopTimeout != 2,
		"cpu_count":    c.HostConfig.NanoCPUs != 1e9,
		"init":         c.HostConfig.Init == nil || !*c.HostConfig.Init,
	} {
		if differs {
			t.Errorf("%s: %+v %+v", what, c.Config, c.HostConfig)
		}
	}
}

// TestEmbeddedEngineHasNot: what docs/compose-support.md says that the embedded engine does not have, it refuses by its name.
func TestEmbeddedEngineHasNot(t *testing.T) {
	h := newHost(t)
	h.busybox()
	for _, c := range []struct{ name, attributes, want string }{
		{"cpu_rt_period", "    cpu_rt_period: 1400", "real-time"},
		{"cpu_rt_runtime", "    cpu_rt_runtime: 400us", "real-time"},
		{"gpus", "    gpus: all", "DeviceRequests"},
		{"devices", "    deploy: {resources: {reservations: {devices: [{capabilities: [tpu]}]}}}", "DeviceRequests"},
		{"logging", "    logging: {driver: syslog}", "syslog"},
		{"runtime", "    runtime: other", "Runtime"},
		{"storage_opt", "    storage_opt: {size: 1G}", "StorageOpt"},
		{"userns_mode", "    userns_mode: private", "UsernsMode"},
		{"image mount", "    volumes: [{type: image, source: e2e/busybox:1, target: /i}]", "type image"},
		{"endpoint option", "    networks: {net: {driver_opts: {a: b}}}\nnetworks: {net: }", "endpoint option a"},
		{"IPv6 address", "    networks: {net: {ipv6_address: \"fd00::9\"}}\nnetworks: {net: {ipam: {config: [{subnet: \"fd00::/64\"}]}}}", "IPv6"},
		{"link-local", "    networks: {net: {link_local_ips: [169.254.8.8]}}\nnetworks: {net: }", "link-local"},
		{"network driver", "    networks: [net]\nnetworks: {net: {driver: macvlan}}", "macvlan"},
		{"network option", "    networks: [net]\nnetworks: {net: {driver_opts: {a: b}}}", "network option a"},
		{"no IPv4", "    networks: [net]\nnetworks: {net: {enable_ipv4: false}}", "without IPv4"},
		{"IPv6", "    networks: [net]\nnetworks: {net: {enable_ipv6: true}}", "IPv6"},
		{"subnets", "    networks: [net]\nnetworks: {net: {ipam: {config: [{subnet: 10.213.8.0/24}, {subnet: 10.213.9.0/24}]}}}", "several subnets"},
		{"IPAM driver", "    networks: [net]\nnetworks: {net: {ipam: {driver: other}}}", "IPAM driver"},
		{"IPAM option", "    networks: [net]\nnetworks: {net: {ipam: {options: {a: b}}}}", "IPAM option"},
		{"volume driver", "    volumes: [\"vol:/v\"]\nvolumes: {vol: {driver: other}}", "other"},
		{"volume option", "    volumes: [\"vol:/v\"]\nvolumes: {vol: {driver_opts: {type: nfs, o: addr=h, device: \":/x\"}}}", "nfs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := h.write("hasnot", map[string]string{"compose.yaml": "services:\n  web:\n    image: e2e/busybox:1\n    command: sleep 3600\n    init: true\n" + c.attributes + "\n"})
			if out, err := h.try(dir, "up", "-d"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("up -d: %v\n%s", err, out)
			}
			h.stack(dir, "down", "-v", "-t", "0")
		})
	}
}

func inspect(t *testing.T, h *host, name string) container.InspectResponse {
	t.Helper()
	socket := h.status().Socket
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	res, err := client.Get("http://engine/containers/" + name + "/json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var c container.InspectResponse
	if err := json.NewDecoder(res.Body).Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// matches compares with a text in which "*" stands for anything.
func matches(got, want string) bool {
	parts := strings.Split(want, "*")
	if len(parts) == 1 {
		return got == want
	}
	rest, ok := strings.CutPrefix(got, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if !ok || i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}
