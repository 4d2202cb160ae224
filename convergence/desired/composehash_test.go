package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"stackrun.dev/stack/project"
)

// Docker Compose (pkg/compose/hash.go) writes SHA-256 of the model as JSON onto networks and volumes, a volume's driver filled in,
// and makes anew those whose label differs from what it computes. Of services it leaves out what does not make a container
// different. These are the texts that it hashes.
func TestHashesAreThoseOfDockerCompose(t *testing.T) {
	dir := t.TempDir()
	const text = `
services:
  web: {image: web, networks: [front, plain], volumes: ["data:/data", "named:/named"], scale: 2, depends_on: [db], pull_policy: always}
  db: {image: db}
  side: {image: side, network_mode: "service:db", pid: "service:web", volumes_from: ["db:ro", "container:far:rw"]}
networks:
  plain: {}
  front: {driver: bridge, internal: true, enable_ipv6: true, labels: {a: "1"}, ipam: {config: [{subnet: 10.9.0.0/24}]}, driver_opts: {mtu: 9000}}
volumes:
  data: {}
  named: {name: mine, driver: other, driver_opts: {type: nfs}, labels: {b: "2"}}
`
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := project.Load(t.Context(), project.Options{WorkDir: dir, ProjectName: "x"})
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := FromProject(p, Input{})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"plain":   `{"name":"x_plain","ipam":{}}`,
		"front":   `{"name":"x_front","driver":"bridge","driver_opts":{"mtu":"9000"},"ipam":{"config":[{"subnet":"10.9.0.0/24"}]},"internal":true,"labels":{"a":"1"},"enable_ipv6":true}`,
		"default": `{"name":"x_default","ipam":{}}`,
	} {
		n := d.Network(key)
		if n == nil || n.ComposeHash != sha(want) || n.Create.Labels[LabelConfigHash] != n.ComposeHash {
			t.Errorf("network %s: %+v", key, n)
		}
	}
	for key, want := range map[string]string{
		"data":  `{"name":"x_data","driver":"local"}`,
		"named": `{"name":"mine","driver":"other","driver_opts":{"type":"nfs"},"labels":{"b":"2"}}`,
	} {
		v := d.Volume(key)
		if v == nil || v.ComposeHash != sha(want) || v.Create.Labels[LabelConfigHash] != v.ComposeHash {
			t.Errorf("volume %s: %+v", key, v)
		}
	}
	side := d.Service("side").References
	const resolved = `{"command":null,"entrypoint":null,"image":"side","network_mode":"container:ID of db","pid":"container:ID of web","volumes_from":["ID of db","far"]}`
	if got := side.Hash(func(name string) string { return "ID of " + name }); got != sha(resolved) {
		t.Errorf("the hash of %s is %s, and not that of %s", side.Text, got, resolved)
	}
	if got := side.Hash(func(string) string { return "" }); got != "" {
		t.Errorf("the hash with unknown IDs is %s", got)
	}
	const db = `{"command":null,"entrypoint":null,"image":"db","networks":{"default":null}}`
	if s := d.Service("db"); s.ComposeHash != sha(db) {
		t.Errorf("service db has the hash %s, and not that of %s", s.ComposeHash, db)
	}
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
