package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// load writes the files, "compose.yaml" among them, and loads the project. DIR in them is their directory.
func load(t *testing.T, files map[string]string) *project.Project {
	t.Helper()
	dir := project.RealPath(t.TempDir())
	for name, text := range files {
		path := filepath.Join(dir, name)
		if to, link := strings.CutPrefix(text, "-> "); link {
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.Symlink(to, path))
			continue
		}
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o700))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600))
	}
	p, _, err := project.Load(t.Context(), project.Options{WorkDir: dir, ProjectName: "x", Env: map[string]string{}})
	must(t, err)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var all = Options{Develop: true, OnChange: true, Dockerfiles: true}

// watching is the rules of a project whose one service has these rules in develop.watch.
func watching(t *testing.T, rules string, files map[string]string) []*Rule {
	t.Helper()
	text := "services:\n  web:\n    image: w\n    build: .\n    develop:\n      watch:\n" + rules
	all := map[string]string{"compose.yaml": text}
	for name, content := range files {
		all[name] = content
	}
	out, _, err := Of(load(t, all), Options{Develop: true})
	must(t, err)
	return out
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		name, rule string
		files      map[string]string
		yes, no    string // paths relative to the project; directories end in a slash
	}{
		{"a directory", "{path: ./src, action: sync, target: /app}", nil, "src/a src/b/c src/b/ src/.env", "src/ src2 src2/a a ./"},
		{"a file", "{path: ./src/a, action: sync, target: /app/a}", nil, "src/a", "src/a/ src/ab src/"},
		{"ignore", "{path: ., action: rebuild, ignore: [node_modules/, '*.log', ./doc, /tmp, DIR/full]}", nil,
			"a sub/node_modules/x sub/b.log sub/doc", "node_modules/ node_modules/a/b b.log doc/x doc/ tmp/x full/x"},
		{"ignore at any depth", "{path: ., action: rebuild, ignore: ['**/node_modules', '**/*.log']}", nil,
			"a nodemodules/x log", "node_modules/ node_modules/a sub/node_modules/x b.log sub/b.log x.log/y"},
		{"ignore but", "{path: ., action: rebuild, ignore: ['*', '!src', 'src/x', '!src/x/keep']}", nil,
			"src/ src/a src/b/c src/x/keep src/x/keep/y", "a b/c src/x/ src/x/y"},
		{"include", "{path: ., action: rebuild, include: ['**/*.py', conf]}", nil, "a.py sub/b.py conf conf/x", "a sub/ sub/b conf2"},
		{"include but", "{path: ., action: rebuild, include: ['src/', '!src/gen']}", nil, "src/ src/a", "src/gen src/gen/x a"},
		{"include and ignore", "{path: ., action: rebuild, include: ['**/*.py'], ignore: [vendor]}", nil, "a.py", "vendor/a.py a"},
		{"everything", "{path: ./src, action: rebuild, include: [.]}", nil, "src/a src/b/c", "a"},
		{"nothing", "{path: ./src, action: rebuild, ignore: [./]}", nil, "", "src/a src/b/c"},
		{"of git", "{path: ., action: rebuild}", nil, ".gitignore .github/x a.git/x", ".git/ .git .git/HEAD sub/.git/x .git/refs/heads/"},
		{"in git", "{path: ./.git/HEAD, action: rebuild}", nil, ".git/HEAD", ".git/index"},
		{"an editor's name of its own", "{path: ./a~, action: rebuild}", nil, "a~", "a~~"},
		{"dockerignore", "{path: ., action: sync, target: /app}", map[string]string{".dockerignore": "# all but\n*\n!src\n/src/gen\n**/*.log\n"},
			"src/a src/b/c src/", "a src/gen/x src/x.log b/c .dockerignore"},
		{"dockerignore of the Dockerfile", "{path: ./src, action: rebuild}", map[string]string{".dockerignore": "src", "Dockerfile.dockerignore": "src/b"},
			"src/a", "src/b/c"},
		{"case", "{path: ./src, action: rebuild, ignore: ['*.LOG']}", nil, "src/a.log", "src/a.LOG Src/a SRC/a"},
		{"through a link", "{path: ./link/sub, action: rebuild, ignore: [x]}", map[string]string{"link": "-> real", "real/sub/": ""}, "real/sub/a", "link/sub/a real/sub/x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := watching(t, "        - "+tc.rule+"\n", tc.files)[0]
			check := func(names string, want bool) {
				for name := range strings.FieldsSeq(names) {
					path, dir := inProject(r, name), strings.HasSuffix(name, "/")
					if rel, got := r.Matches(path, dir); got != want {
						t.Errorf("%s: %v %q, want %v", name, got, rel, want)
					}
					if r.Skips(path, dir) && want {
						t.Errorf("%s is skipped and matches", name)
					}
				}
			}
			check(tc.yes, true)
			check(tc.no, false)
		})
	}
}

// inProject is the path of a file of the project that the rule is of.
func inProject(r *Rule, name string) string {
	return filepath.Join(filepath.Dir(r.Place.File), name)
}

func TestRelative(t *testing.T) {
	for _, tc := range []struct{ path, target, file, want string }{
		{"./src", "/app", "src/a/b", "a/b"},
		{".", "/app", "src/a/b", "src/a/b"},
		{"./src/a", "/app/a", "src/a", "."},
		{"./src/a", "/app/", "src/a", "a"},
	} {
		r := watching(t, "        - {path: "+tc.path+", action: sync, target: "+tc.target+"}\n", nil)[0]
		if got, ok := r.Matches(inProject(r, tc.file), false); got != tc.want || !ok {
			t.Errorf("%s in %s: %q %v, want %q", tc.file, tc.path, got, ok, tc.want)
		}
	}
}

func TestSkips(t *testing.T) {
	for _, tc := range []struct {
		name, rule   string
		dockerignore string
		yes, no      string
	}{
		{"ignored", "{path: ., action: rebuild, ignore: [node_modules, '**/tmp']}", "", "node_modules/ node_modules/a/ sub/tmp/ .git/", "sub/ ./ sub/node_modules/"},
		{"an exception below", "{path: ., action: rebuild, ignore: [data, '!data/keep/this']}", "", "data/other/ data/keep/that/", "data/ data/keep/ data/keep/this/ data/keep/this/x/"},
		{"an exception anywhere", "{path: ., action: rebuild, ignore: [data, '!**/keep']}", "", "", "data/ data/other/"},
		{"an exception before", "{path: ., action: rebuild, ignore: ['!data/keep', data]}", "", "data/ data/keep/", ""},
		{"an exception elsewhere", "{path: ., action: rebuild, ignore: ['*', '!src']}", "", "data/ a/src/", "src/ src/a/"},
		{"a star in it", "{path: ., action: rebuild, ignore: [data, '!data/*/keep']}", "", "data/a/b/", "data/ data/a/ data/a/keep/"},
		{"not included", "{path: ., action: rebuild, include: [src/app, 'lib/*.py']}", "", "data/ src/other/", "src/ src/app/ src/app/x/ lib/"},
		{"included anywhere", "{path: ., action: rebuild, include: ['**/*.py']}", "", "", "data/ src/app/"},
		{"not built", "{path: ./src, action: rebuild}", "src/gen\n!src/gen/keep", "src/gen/other/", "src/gen/ src/"},
		{"above", "{path: ./src/app, action: rebuild}", "", "data/ src/other/ src/ap/", "src/ ./"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := watching(t, "        - "+tc.rule+"\n", map[string]string{".dockerignore": tc.dockerignore})[0]
			for name := range strings.FieldsSeq(tc.yes) {
				if !r.Skips(inProject(r, name), true) {
					t.Errorf("%s is not skipped", name)
				}
			}
			for name := range strings.FieldsSeq(tc.no) {
				if r.Skips(inProject(r, name), true) {
					t.Errorf("%s is skipped", name)
				}
			}
		})
	}
}

func TestRoots(t *testing.T) {
	rules := watching(t, `        - {path: ., action: rebuild, ignore: [src/gen, node_modules]}
        - {path: ./src/gen/deep, action: sync, target: /gen}
        - {path: ., action: sync, target: /all, ignore: [node_modules, doc]}
        - {path: ./src, action: restart}
        - {path: ../x-other, action: restart}
        - {path: ../x-other-too, action: restart}
`, nil)
	dir := filepath.Dir(rules[0].Place.File)
	roots := Roots(rules)
	var paths []string
	for _, r := range roots {
		rel, err := filepath.Rel(dir, r.Path)
		must(t, err)
		paths = append(paths, rel)
	}
	if got := strings.Join(paths, " "); got != ". ../x-other ../x-other-too" {
		t.Fatal(got)
	}
	skip := func(name string) bool { return roots[0].Skip(filepath.Join(dir, name), strings.HasSuffix(name, "/")) }
	for _, name := range strings.Fields("node_modules/ node_modules/x .git/ a.swp~") {
		if !skip(name) {
			t.Errorf("%s is watched", name)
		}
	}
	for _, name := range strings.Fields("src/ src/gen/ src/gen/deep/ src/gen/deep/x doc/ doc/x src/gen/x") {
		if skip(name) {
			t.Errorf("%s is not watched", name)
		}
	}
	rules = watching(t, "        - {path: ., action: rebuild, ignore: [gen]}\n        - {path: ./gen/deep, action: restart}\n", nil)
	roots, dir = Roots(rules), filepath.Dir(rules[0].Place.File)
	if skip("gen/") || skip("gen/deep/") || skip("gen/deep/x") || !skip("gen/other/") || !skip("gen/x") {
		t.Error("the way to a rule's path is watched, and nothing beside it")
	}
	if len(Roots(nil)) != 0 {
		t.Error("there is something to watch without rules")
	}
}

// A rule that somebody has made of its public fields.
func TestPlainRule(t *testing.T) {
	r := &Rule{Service: "web", Path: "/src", Action: Sync, Target: "/app", Exec: types.ServiceHook{}}
	if rel, ok := r.Matches("/src/a", false); rel != "a" || !ok || r.Skips("/src/b", true) || !r.Skips("/src/.git", true) {
		t.Error(rel, ok)
	}
	if rel, ok := (&Rule{Path: "/"}).Matches("/etc/passwd", false); rel != "etc/passwd" || !ok {
		t.Error(rel, ok)
	}
}

// The names that programs give to files while they save.
func TestTemporary(t *testing.T) {
	for by, names := range map[string]string{
		"vim":          "4913 .app.py.swp .app.py.swo .app.py.swn .app.py.swx .swp app.py~",
		"emacs":        ".#app.py #app.py# app.py~ app.py.~1~",
		"nano":         ".app.py.swp app.py~",
		"kate":         ".app.py.kate-swp app.py~",
		"JetBrains":    "app.py___jb_tmp___ app.py___jb_old___",
		"gedit":        ".goutputstream-8K2M61 app.py~",
		"VS Code":      "settings.json.vsctmp",
		"Sublime Text": ".subl3f1.tmp",
		"Zed":          ".tmpQ0iPXb",
		"LibreOffice":  ".~lock.table.ods#",
		"sed -i":       "sedW1pAbc sed0OYn2t sedabcdE1",
		"rsync":        ".app.py.Ab3xYz ..env.QwErTy",
		"git":          ".merge_file_a0Bc1D",
		"NFS":          ".nfs000000000a1b2c3d00000001",
		"FUSE":         ".fuse_hidden0000001200000001",
		"go":           "main.go-go-tmp-umask",
	} {
		for name := range strings.FieldsSeq(names) {
			r := &Rule{Path: "/src"}
			if _, ok := r.Matches("/src/sub/"+name, false); ok {
				t.Errorf("%s: %s counts", by, name)
			}
			if _, ok := r.Matches("/src/"+name+"/file", false); !ok || r.Skips("/src/"+name, true) {
				t.Errorf("a directory %s does not count", name)
			}
		}
	}
	const real = "app.py .env .env.local .env.docker .env.LOCAL1 .env.stage1 sedatives sediment sed sed.py 49130 x.swp app.swf .eslintrc.config #readme ~a " +
		".tmp .tmpl app.tmp .subl .nfs .nfsrc .goutputstream app.AbCdE1 .gitignore .gitkeep merge_file_a0Bc1D .hidden"
	for name := range strings.FieldsSeq(real) {
		if isTemporary(name) {
			t.Errorf("%s does not count", name)
		}
	}
}

// What Python writes into a bind mount when it starts again is not why it is to start again, unless somebody says so. Patterns of a
// mounted file are about its name.
func TestOnChangeMatches(t *testing.T) {
	p := load(t, map[string]string{"src/a.py": "", "nginx.conf": "", "compose.yaml": `
services:
  plain: {image: i, volumes: ['./src:/app', './nginx.conf:/n'], x-stack: {on_change: restart}}
  said: {image: i, volumes: ['./src:/app'], x-stack: {on_change: {restart: true, ignore: ['!**/__pycache__']}}}
  named: {image: i, volumes: ['./src:/app', './nginx.conf:/n'], x-stack: {on_change: {signal: HUP, paths: ['*.conf']}}}
`})
	rules, _, err := Of(p, Options{OnChange: true})
	must(t, err)
	for _, tc := range []struct{ file, want string }{
		{"src/a.py", "plain said"},
		{"src/__pycache__/a.pyc", "said"},
		{"src/sub/__pycache__/a.pyc", "said"},
		{"nginx.conf", "plain named"},
		{"src/web.conf", "plain said named"},
		{"src/.git/HEAD", ""},
		{"other", ""},
	} {
		got := map[string]bool{}
		for _, r := range rules {
			if _, ok := r.Matches(filepath.Join(p.Dir, tc.file), false); ok {
				got[r.Service] = true
			}
		}
		want := strings.Fields(tc.want)
		for _, service := range want {
			if !got[service] {
				t.Errorf("%s does not concern %s", tc.file, service)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s concerns %v, want %v", tc.file, got, want)
		}
	}
}

func TestFiles(t *testing.T) {
	p := load(t, map[string]string{"compose.yaml": `
services:
  a: {build: ., develop: {watch: [{path: ., action: rebuild}]}}
  b: {build: {context: sub, dockerfile: ../web.Dockerfile}, develop: {watch: [{path: ., action: rebuild}]}}
  c: {build: other}
  d: {build: https://example.test/x.git, develop: {watch: [{path: ., action: rebuild}]}}
  e: {image: e, develop: {watch: [{path: ., action: restart}]}}
`})
	for _, tc := range []struct {
		o    Options
		want string
	}{
		{all, ".dockerignore Dockerfile.dockerignore sub/.dockerignore web.Dockerfile.dockerignore"},
		{Options{Develop: true, Services: []string{"b"}}, "sub/.dockerignore web.Dockerfile.dockerignore"},
		{Options{OnChange: true}, ""},
	} {
		got := strings.ReplaceAll(strings.Join(Files(p, tc.o), " "), p.Dir+"/", "")
		if got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.o, got, tc.want)
		}
	}
}
