package embedded

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	dockernet "github.com/docker/docker/api/types/network"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
)

// resolverAddress is where a container on a user-defined network finds its name server.
const resolverAddress = "127.0.0.11"

// fileMounts are the files of /etc that the engine writes. A container that shares another's network shares these too.
func (a *attempt) fileMounts() []specs.Mount {
	owner := a.record.ID
	if a.record.Joined != "" {
		owner = a.record.Joined
	}
	var mounts []specs.Mount
	for _, name := range []string{container.ResolvConfFile, container.HostnameFile, container.HostsFile} {
		destination := "/etc/" + name
		if slices.ContainsFunc(a.record.Mounts, func(m container.Mount) bool { return m.Destination == destination }) {
			continue // the user brings a file of their own
		}
		access := "rw"
		if a.record.Host.ReadonlyRootfs {
			access = "ro"
		}
		mounts = append(mounts, specs.Mount{Type: "bind", Source: filepath.Join(a.engine.dir(owner), name), Destination: destination,
			Options: []string{"bind", access, "rprivate"}})
	}
	return mounts
}

// writeFiles writes them.
func (a *attempt) writeFiles() error {
	if a.record.Joined != "" {
		return nil
	}
	var addresses map[string]*dockernet.EndpointSettings
	if a.sandbox != nil {
		addresses = live(&a.record, a.sandbox.Endpoints())
	}
	if err := writeFile(filepath.Join(a.engine.dir(a.record.ID), container.HostnameFile), a.record.Config.Hostname+"\n"); err != nil {
		return fullDisk(err)
	}
	return a.engine.writeNetworkFiles(&a.record, addresses)
}

// writeNetworkFiles writes those that depend on the container's networks.
func (e *Engine) writeNetworkFiles(r *container.Record, addresses map[string]*dockernet.EndpointSettings) error {
	hosts, err := e.hosts(r, addresses)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{container.HostsFile: hosts, container.ResolvConfFile: e.resolvConf(r)} {
		if err := writeFile(filepath.Join(e.dir(r.ID), name), content); err != nil {
			return fullDisk(err)
		}
	}
	return nil
}

// writeFile replaces the content and keeps the file, which may be mounted somewhere. A container reads it, whatever the
// engine's file mode mask says.
func writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

const localHosts = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`

// hosts is the content of /etc/hosts: the extra hosts, the links of the default bridge, and the container itself with
// each of its addresses.
func (e *Engine) hosts(r *container.Record, addresses map[string]*dockernet.EndpointSettings) (string, error) {
	text := localHosts
	if r.Host.NetworkMode.IsHost() {
		if content, err := os.ReadFile("/etc/hosts"); err == nil {
			text = string(content)
		}
	}
	for _, extra := range r.Host.ExtraHosts {
		line, err := e.extraHost(extra)
		if err != nil {
			return "", err
		}
		text += line
	}
	links, err := e.linkLines(r)
	if err != nil {
		return "", err
	}
	text += links
	if !r.Host.NetworkMode.IsHost() {
		text += ownLines(r, addresses)
	}
	return text, nil
}

func ownLines(r *container.Record, endpoints map[string]*dockernet.EndpointSettings) string {
	names := r.Config.Hostname
	if r.Config.Domainname != "" {
		names = r.Config.Hostname + "." + r.Config.Domainname + " " + r.Config.Hostname
	} else if short, _, qualified := strings.Cut(r.Config.Hostname, "."); qualified {
		names = r.Config.Hostname + " " + short
	}
	var lines []string
	for _, endpoint := range endpoints {
		for _, address := range []string{endpoint.IPAddress, endpoint.GlobalIPv6Address} {
			if address != "" {
				lines = append(lines, address+"\t"+names+"\n")
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// extraHost is the line for "name:address" or "name=address"; the address host-gateway is the host's on the default bridge.
func (e *Engine) extraHost(extra string) (string, error) {
	name, address, ok := strings.Cut(extra, "=")
	if !ok {
		name, address, ok = strings.Cut(extra, ":")
	}
	if !ok || name == "" || address == "" {
		return "", engine.Errorf(engine.ErrInvalid, "invalid extra host %q: write name:address", extra)
	}
	address = strings.Trim(address, "[]")
	if address == "host-gateway" {
		gateway, err := e.hostGateway()
		if err != nil {
			return "", err
		}
		return gateway + "\t" + name + "\n", nil
	}
	if _, err := netip.ParseAddr(address); err != nil {
		return "", engine.Errorf(engine.ErrInvalid, "invalid extra host %q: %q is not an address", extra, address)
	}
	return address + "\t" + name + "\n", nil
}

func (e *Engine) hostGateway() (string, error) {
	bridge, err := e.networks.Inspect(dockernet.NetworkBridge)
	if err != nil {
		return "", err
	}
	for _, cfg := range bridge.IPAM.Config {
		if cfg.Gateway != "" {
			return cfg.Gateway, nil
		}
	}
	return "", engine.Errorf(engine.ErrUnsupported, "cannot find the address host-gateway: the network bridge has none")
}

// linkLines are the linked containers of the default bridge, where no name server answers for them.
func (e *Engine) linkLines(r *container.Record) (string, error) {
	if hasUserNetwork(r) {
		return "", nil
	}
	text := ""
	for _, link := range r.Host.Links {
		ref, alias, _ := strings.Cut(link, ":")
		other, err := e.running(ref, "link")
		if err != nil {
			return "", err
		}
		if alias == "" {
			alias = other.Name
		}
		endpoint := other.Live[dockernet.NetworkBridge]
		if endpoint == nil || endpoint.IPAddress == "" {
			return "", engine.Errorf(engine.ErrInvalid, "cannot link to container %s: it is not on the network bridge", other.Name)
		}
		names := []string{alias, other.Config.Hostname}
		if other.Name != alias {
			names = append(names, other.Name)
		}
		text += fmt.Sprintf("%s\t%s\n", endpoint.IPAddress, strings.Join(names, " "))
	}
	return text, nil
}

// dns is what a resolv.conf says.
type dns struct{ servers, search, options []string }

// dnsOf is where the names of the world are asked for: what the container says, else what the host uses.
func (e *Engine) dnsOf(r *container.Record) dns {
	d := hostDNS(!r.Host.NetworkMode.IsHost())
	if len(r.Host.DNS) > 0 {
		d.servers = r.Host.DNS
	}
	if len(r.Host.DNSSearch) > 0 {
		d.search = slices.DeleteFunc(slices.Clone(r.Host.DNSSearch), func(s string) bool { return s == "." })
	}
	if len(r.Host.DNSOptions) > 0 {
		d.options = r.Host.DNSOptions
	}
	return d
}

// publicServers are asked where the host's own servers cannot be reached from a container; Docker's choice.
var publicServers = []string{"8.8.8.8", "8.8.4.4"}

// hostDNS reads the host's resolv.conf. Servers on the host's loopback are of no use in a container's network.
func hostDNS(filter bool) dns {
	content, err := os.ReadFile("/etc/resolv.conf")
	if err == nil && filter && usesSystemdResolved(content) {
		if real, err := os.ReadFile("/run/systemd/resolve/resolv.conf"); err == nil {
			content = real
		}
	}
	d := parseResolvConf(content)
	if filter {
		d.servers = slices.DeleteFunc(d.servers, isLoopback)
	}
	if len(d.servers) == 0 {
		d.servers = publicServers
	}
	return d
}

// usesSystemdResolved reports whether the only server is the stub that systemd-resolved runs on the loopback; the real
// ones are in a file of its own then.
func usesSystemdResolved(content []byte) bool {
	return slices.Equal(parseResolvConf(content).servers, []string{"127.0.0.53"})
}

func isLoopback(server string) bool {
	address, err := netip.ParseAddr(server)
	return err == nil && address.IsLoopback()
}

func parseResolvConf(content []byte) dns {
	var d dns
	for scanner := bufio.NewScanner(bytes.NewReader(content)); scanner.Scan(); {
		line, _, _ := strings.Cut(scanner.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			d.servers = append(d.servers, fields[1])
		case "search", "domain":
			d.search = fields[1:]
		case "options":
			d.options = append(d.options, fields[1:]...)
		}
	}
	return d
}

// resolvConf is the content of the container's /etc/resolv.conf.
func (e *Engine) resolvConf(r *container.Record) string {
	d := e.dnsOf(r)
	if hasUserNetwork(r) {
		d.servers = []string{resolverAddress}
		if !slices.ContainsFunc(d.options, func(o string) bool { return strings.HasPrefix(o, "ndots:") }) {
			d.options = append(slices.Clone(d.options), "ndots:0")
		}
	}
	text := ""
	for _, server := range d.servers {
		text += "nameserver " + server + "\n"
	}
	if len(d.search) > 0 {
		text += "search " + strings.Join(d.search, " ") + "\n"
	}
	if len(d.options) > 0 {
		text += "options " + strings.Join(d.options, " ") + "\n"
	}
	return text
}
