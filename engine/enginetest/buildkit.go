package enginetest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"

	"stackrun.dev/stack/engine"
)

// buildKitCases hold for engines that give access to their BuildKit.
var buildKitCases = []testCase{
	{"a Dockerfile with a secret, in two names", func(f *fixture) {
		if !f.givesBuildKit() {
			return
		}
		tags := []string{f.name("i") + ":v1", f.name("i") + ":v2"}
		printed, err := f.solve(tags, "FROM "+f.Image+"\nCOPY file /file\nRUN --mount=type=secret,id=s cat /run/secrets/s /file\n")
		f.must(err)
		if !strings.Contains(printed, "hush") || !strings.Contains(printed, "of the context") {
			f.Errorf("the step printed %q", printed)
		}
		first, err := f.ImageInspect(f.ctx, tags[0])
		f.must(err)
		second, err := f.ImageInspect(f.ctx, tags[1])
		f.must(err)
		if first.ID != second.ID {
			f.Errorf("two names, two images: %s, %s", first.ID, second.ID)
		}
		ctr := f.run(config(func(c *container.Config) { c.Image, c.Cmd = tags[0], []string{"cat", "/file"} }))
		f.wait(ctr, "")
		if out := f.output(ctr); out != "of the context\n" {
			f.Errorf("the image has %q", out)
		}
		f.remove(ctr)
	}},
	{"a failing step", func(f *fixture) {
		if !f.givesBuildKit() {
			return
		}
		tag := f.name("i") + ":v1"
		if _, err := f.solve([]string{tag}, "FROM "+f.Image+"\nRUN exit 37\n"); err == nil || !strings.Contains(err.Error(), "37") {
			f.Errorf("error: %v", err)
		}
		_, err := f.ImageInspect(f.ctx, tag)
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
}

// givesBuildKit says whether the engine gives access to its BuildKit. One that does not says so by the kind of its error.
func (f *fixture) givesBuildKit() bool {
	f.Helper()
	conn, err := f.BuildKit(f.ctx)
	if err != nil {
		f.wantKind("BuildKit", err, engine.ErrUnsupported)
		return false
	}
	f.must(conn.Close())
	return true
}

// solve builds over BuildKit's API and returns what the steps printed.
func (f *fixture) solve(tags []string, dockerfile string) (string, error) {
	f.Helper()
	conn, err := f.BuildKit(f.ctx)
	f.must(err)
	defer conn.Close() //nolint:errcheck // everything was acknowledged
	c, err := client.New(f.ctx, "", client.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	f.must(err)
	defer c.Close() //nolint:errcheck // the same

	dir := f.TempDir()
	for name, text := range map[string]string{"Dockerfile": dockerfile, "file": "of the context\n"} {
		f.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	files, err := fsutil.NewFS(dir)
	f.must(err)
	for _, tag := range tags {
		f.removeImageAfter(tag)
	}
	var out strings.Builder
	status, read := make(chan *client.SolveStatus), make(chan struct{})
	go func() {
		defer close(read)
		for s := range status {
			for _, l := range s.Logs {
				out.Write(l.Data)
			}
		}
	}()
	_, err = c.Solve(f.ctx, nil, client.SolveOpt{
		Exports:       []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": strings.Join(tags, ",")}}},
		Frontend:      "dockerfile.v0",
		FrontendAttrs: map[string]string{"filename": "Dockerfile"},
		LocalMounts:   map[string]fsutil.FS{"context": files, "dockerfile": files},
		Session:       []session.Attachable{secretsprovider.FromMap(map[string][]byte{"s": []byte("hush\n")})},
	}, status)
	<-read
	return out.String(), err
}
