package sim

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

const mutable = `
services:
  web:
    image: web
    command: [serve]
    restart: always
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 100
    ports: ["8080:80"]
    networks: {front: {aliases: [w], ipv4_address: 10.9.0.7}, back: {}}
networks: {front: {ipam: {config: [{subnet: 10.9.0.0/24}]}}, back: {}}
`

// What was written onto the container of that project by a version that changed nothing in place.
const (
	oldHash   = "1:8e6d06b2ca5f1b99c8dc1ead1c1ae61205b971e7cf6ebc40e6c2de0313e045f5"
	oldConfig = "bM/BS8MwFMfxe/6K8e6LrzC3KuRQioeBLUHwLGnzJmFN38gLS/vfi4qKMPidvnwuvzZ6A0LpSqCelgsLecspi67xLo8XA6A6ipxWA/tDhXW934Hq3cytfRUD94j4NVA95cLp3LEnA8vb4MbzbxT9HXQzBSckBpZtoWFbbQoN/9Qp8Zxvsk25AY+26VqeT+FdH+1113ifSMRAhfpBoz6AssHLc4ghf0YE9fOuxse/iy8k2aVseQrjqnsXyYCbilsF1EcAAAD//w=="
)

// An upgrade alone recreates nothing, and what is changed afterwards is changed in place all the same.
func TestWhatTheVersionBeforeMade(t *testing.T) {
	f := newFake()
	up(t, f, want(t, mutable), plan.UpOptions{})
	r, err := f.find("x-web-1")
	if err != nil {
		t.Fatal(err)
	}
	labels := r.cfg.Config.Labels
	if labels[desired.LabelHash] != oldHash {
		t.Errorf("the hash of the same wish is now %s", labels[desired.LabelHash])
	}
	labels[desired.LabelHash], labels[desired.LabelConfig] = oldHash, oldConfig
	settled(t, f, want(t, mutable))
	changed := strings.NewReplacer("64m", "96m", "always", "unless-stopped", "[w]", "[v]", "10.9.0.7", "10.9.0.8", ", back: {}}\nnet", "}\nnet").Replace(mutable)
	up(t, f, want(t, changed), plan.UpOptions{})
	if now, _ := f.find("x-web-1"); now != r || r.cfg.Host.Memory != 96<<20 || r.networks["x_back"] || !slices.Contains(r.endpoints["x_front"].Aliases, "v") {
		t.Errorf("made anew: %v; %+v on %v", now != r, r.cfg.Host, r.networks)
	}
	labels[desired.LabelHash] = "0:of another way to count" // a new version may count otherwise
	settled(t, f, want(t, changed))
}

// Round trips in place end where a fresh container would: nothing that was added stays behind.
func TestWhatWasAddedInPlaceIsTakenAway(t *testing.T) {
	const bare = "services:\n  web:\n    image: web\n    networks: [front]\nnetworks: {front: {}, back: {}}\n"
	for _, added := range []string{"    restart: always\n", "    mem_limit: 64m\n", "    pids_limit: 7\n", "    cpus: 2\n", "    cpu_quota: 9000\n", "    cpuset: \"0\"\n", "back"} {
		text := strings.Replace(bare, "    networks", added+"    networks", 1)
		if added == "back" {
			text = strings.Replace(bare, "[front]", "[front, back]", 1)
		}
		f := newFake()
		up(t, f, want(t, bare), plan.UpOptions{})
		r, _ := f.find("x-web-1")
		before := r.effective()
		up(t, f, want(t, text), plan.UpOptions{})
		if now, _ := f.find("x-web-1"); now != r || r.effective() == before {
			t.Errorf("%q is not added in place: %s", added, r.effective())
		}
		up(t, f, want(t, bare), plan.UpOptions{})
		if now, _ := f.find("x-web-1"); now.effective() != before {
			t.Errorf("%q is left: %s, before %s", added, now.effective(), before)
		}
	}
}

// A share of the processors that is written in the other way needs a new container: engines refuse to change one way when the
// other is set. What was done by hand that way goes, too.
func TestTheOtherWayToWriteAShare(t *testing.T) {
	const cpus, quota = "services: {web: {image: web, cpus: 0.5}}\n", "services: {web: {image: web, cpu_quota: 30000}}\n"
	for from, to := range map[string]string{cpus: quota, quota: cpus} {
		f := newFake()
		up(t, f, want(t, from), plan.UpOptions{})
		up(t, f, want(t, to), plan.UpOptions{})
		r, _ := f.find("x-web-1")
		if h := r.cfg.Host; h.NanoCPUs != 0 && h.CPUQuota != 0 || h.NanoCPUs == 0 && h.CPUQuota == 0 {
			t.Errorf("%q after %q: %d and %d", to, from, h.NanoCPUs, h.CPUQuota)
		}
		settled(t, f, want(t, to))
		r.cfg.Host.NanoCPUs, r.cfg.Host.CPUQuota = 500_000_000, 30000
		p, err := convergence.Plan(t.Context(), f, want(t, to), plan.UpOptions{})
		if err != nil || !strings.Contains(p.Text(), "removed") {
			t.Errorf("%q, and the other by hand: %v\n%s", to, err, p.Text())
		}
		if to == quota {
			r.cfg.Host.NanoCPUs = 300_000_000 // an engine may tell of one share in both ways
			settled(t, f, want(t, to))
		}
	}
}

// A MAC address is the same however it is written, also if the network came after the container was made, or came again.
func TestAMACAddressOfANetworkThatCameLater(t *testing.T) {
	without := strings.Replace(bareNetworks, "NETWORKS", "{front: {}}", 1)
	both := strings.Replace(bareNetworks, "NETWORKS", "{front: {}, back: {}}", 1)
	mac := strings.Replace(bareNetworks, "NETWORKS", "{front: {}, back: {mac_address: \"02:42:AC:11:00:99\"}}", 1)
	for _, first := range []string{without, both, mac} {
		for _, last := range []string{both, mac} {
			f := newFake()
			up(t, f, want(t, first), plan.UpOptions{})
			r, _ := f.find("x-web-1")
			up(t, f, want(t, without), plan.UpOptions{})
			up(t, f, want(t, last), plan.UpOptions{})
			if now, _ := f.find("x-web-1"); now != r {
				t.Errorf("%q after %q: made anew", last, first)
			}
			settled(t, f, want(t, last))
		}
	}
}

const bareNetworks = "services: {web: {image: web, networks: NETWORKS}}\nnetworks: {front: {}, back: {}}\n"

// What the engine does not know is asked for once, and not until the rounds are up.
func TestALimitThatTheEngineDoesNotTakeIsNoLoop(t *testing.T) {
	const bare = "services: {web: {image: web}}\n"
	f := newFake()
	up(t, f, want(t, bare), plan.UpOptions{})
	before := len(f.calls)
	d := want(t, strings.Replace(bare, "web}", "web, blkio_config: {weight: 300}}", 1))
	if _, err := convergence.Run(t.Context(), f, d, convergence.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	if calls := f.calls[before:]; !slices.Equal(calls, []string{"update x-web-1"}) {
		t.Errorf("calls: %q", calls)
	}
}

// The content of a file that is mounted makes a container different, as does that of one that is copied.
func TestContentOfAMountedFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("compose.yaml", "services:\n  web: {image: web, configs: [page], secrets: [key]}\nconfigs: {page: {file: ./page}}\nsecrets: {key: {file: ./key}}\n")
	write("page", "one")
	write("key", "one")
	f := newFake()
	up(t, f, wantIn(t, dir), plan.UpOptions{})
	for file, cause := range map[string]string{"page": "file /page changed", "key": "file /run/secrets/key changed"} {
		write(file, "two")
		p, err := convergence.Plan(t.Context(), f, wantIn(t, dir), plan.UpOptions{})
		if err != nil || !strings.Contains(p.Text(), cause) {
			t.Errorf("%s: %v\n%s", file, err, p.Text())
		}
	}
}

// A volume that is made anew ends with all its users back, and the containers of others never touched.
func TestARecreatedVolume(t *testing.T) {
	const text = "services:\n  db: {image: db, volumes: [\"data:/data\", /scratch]}\n  web: {image: web, scale: 2, volumes: [\"data:/data\"]}\n  other: {image: other}\nvolumes: {data: DEFINITION}\n"
	f := newFake()
	up(t, f, want(t, strings.Replace(text, "DEFINITION", "{}", 1)), plan.UpOptions{})
	other, _ := f.find("x-other-1")
	scratch := f.scratch("x-db-1")
	d := want(t, strings.Replace(text, "DEFINITION", "{driver_opts: {type: tmpfs}}", 1))
	up(t, f, d, plan.UpOptions{RecreateVolumes: map[string]bool{"data": true}})
	settled(t, f, d)
	if now, _ := f.find("x-other-1"); now != other {
		t.Error("who does not use the volume was made anew")
	}
	if len(f.containers) != 4 || scratch == "" || f.scratch("x-db-1") != scratch {
		t.Errorf("%d containers, the anonymous volume %q was %q", len(f.containers), f.scratch("x-db-1"), scratch)
	}
	if got := slices.Index(f.calls, "remove volume x_data"); got < 0 {
		t.Errorf("calls: %q", f.calls)
	}
}

// scratch is the name of the container's anonymous volume.
func (f *fake) scratch(name string) string {
	r, err := f.find(name)
	if err != nil {
		return ""
	}
	for _, m := range r.mounts {
		if m.Destination == "/scratch" {
			return m.Name
		}
	}
	return ""
}

// Networks and volumes of Docker Compose are taken over as they are, until their definition changes.
func TestNetworksAndVolumesOfDockerCompose(t *testing.T) {
	const text = "services: {web: {image: web, networks: [n], volumes: [\"v:/v\"]}}\nnetworks: {n: {DEFINITION}}\nvolumes: {v: {DEFINITION}}\n"
	f := newFake()
	d := want(t, strings.Replace(text, "DEFINITION", "", 2))
	up(t, f, d, plan.UpOptions{})
	for _, labels := range []map[string]string{f.networks["x_n"].Labels, f.volumes["x_v"].Labels} {
		if labels[desired.LabelConfigHash] == "" {
			t.Error("Docker Compose finds no hash of its own")
		}
		delete(labels, desired.LabelHash)
		delete(labels, desired.LabelConfig)
	}
	settled(t, f, d)
	p, err := convergence.Plan(t.Context(), f, want(t, strings.Replace(text, "DEFINITION", "labels: {a: b}", 2)), plan.UpOptions{})
	const cause = "it was made by Docker Compose, and its configuration has changed since"
	if err != nil || !strings.Contains(p.Text(), "remove network x_n: "+cause) || !strings.Contains(p.Text(), "volume x_v differs ("+cause+")") {
		t.Errorf("%v\n%s", err, p.Text())
	}
	delete(f.networks["x_n"].Labels, desired.LabelConfigHash)
	delete(f.volumes["x_v"].Labels, desired.LabelConfigHash)
	p, err = convergence.Plan(t.Context(), f, want(t, strings.Replace(text, "DEFINITION", "labels: {a: b}", 2)), plan.UpOptions{})
	if err != nil || !p.Empty() {
		t.Errorf("an older Docker Compose writes no hash, and is trusted: %v\n%s", err, p.Text())
	}
}

// A container in another's namespaces carries the hash that Docker Compose computes with that one's ID, and is taken over by it:
// also when both are made anew.
func TestHashesWithIDsOfOthers(t *testing.T) {
	const text = "services:\n  db: {image: db, environment: {A: \"1\"}}\n  side: {image: side, network_mode: \"service:db\"}\n"
	f := newFake()
	for _, value := range []string{"1", "2"} {
		d := want(t, strings.Replace(text, "1", value, 1))
		up(t, f, d, plan.UpOptions{})
		db, _ := f.find("x-db-1")
		side, _ := f.find("x-side-1")
		labels := side.cfg.Config.Labels
		if hash := d.Service("side").References.Hash(func(string) string { return db.id }); labels[desired.LabelConfigHash] != hash {
			t.Errorf("the label is %s, and with the ID of db it is %s", labels[desired.LabelConfigHash], hash)
		}
		delete(labels, desired.LabelHash)
		delete(labels, desired.LabelConfig)
		settled(t, f, d)
	}
}
