package remote

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
)

func TestParseGit(t *testing.T) {
	for _, c := range []struct {
		address string
		want    gitAddress
		err     string
	}{
		{address: "https://host/repo.git", want: gitAddress{repository: "https://host/repo.git"}},
		{address: "https://host/repo.git#main", want: gitAddress{repository: "https://host/repo.git", ref: "main"}},
		{address: "https://host/repo.git#main:a/b", want: gitAddress{repository: "https://host/repo.git", ref: "main", folder: "a/b"}},
		{address: "https://host/repo.git#:a/b/", want: gitAddress{repository: "https://host/repo.git", folder: "a/b"}},
		{address: "https://host/repo.git#refs/tags/v1:/x.yaml", want: gitAddress{repository: "https://host/repo.git", ref: "refs/tags/v1", folder: "x.yaml"}},
		{address: "https://u:secret@host/repo.git#main", want: gitAddress{repository: "https://u:secret@host/repo.git", shown: "https://u:xxxxx@host/repo.git", ref: "main"}},
		{address: "git@host:team/repo.git#main:dir", want: gitAddress{repository: "git@host:team/repo.git", ref: "main", folder: "dir"}},
		{address: "git@host:repo?ref=main&subdir=dir", want: gitAddress{repository: "git@host:repo", ref: "main", folder: "dir"}},
		{address: "ssh://git@host:2222/repo", want: gitAddress{repository: "ssh://git@host:2222/repo"}},
		{address: "git://host/repo#v1", want: gitAddress{repository: "git://host/repo", ref: "v1"}},
		{address: "github.com/a/b#main:dir", want: gitAddress{repository: "https://github.com/a/b", ref: "main", folder: "dir"}},
		{address: "https://host/repo.git?tag=v1&subdir=x", want: gitAddress{repository: "https://host/repo.git", ref: "refs/tags/v1", folder: "x"}},
		{address: "https://host/repo.git?branch=b&checksum=0123abcd", want: gitAddress{repository: "https://host/repo.git", ref: "refs/heads/b", commit: "0123abcd"}},

		{address: "https://host/repo.git?ref=a#b", err: `"ref" says "a", and another part of the address "b"`},
		{address: "https://host/repo.git?ref=a&ref=b", err: `it has "ref" twice`},
		{address: "https://host/repo.git?rev=a", err: `"rev" is not known in its query`},
		{address: "https://host/repo.git?ref=", err: `"ref" has no value`},
		{address: "https://host/repo.git?submodules=true", err: "submodules are not fetched"},
		{address: "https://host/repo.git?checksum=xyz", err: `its checksum "xyz" is not a commit`},
		{address: "https://host/repo.git#main:../../etc", err: `its folder "../../etc" leads out of the repository`},
		{address: `https://host/repo.git#main:a\..\..\etc`, err: "leads out of the repository"},
		{address: "https://host/repo.git?subdir=a/../../etc", err: "leads out of the repository"},
		{address: "https://host/repo.git#--upload-pack=touch", err: "is not the name of a branch"},
		{address: "https://host/repo.git#a*", err: "is not the name of a branch"},
		{address: "https://host/repo.git#a..b", err: "is not the name of a branch"},
		{address: "https://host/repo.git?ref=%2brefs/heads/*:refs/x", err: "is not the name of a branch"},
		{address: "ssh://-oProxyCommand=touch/x", err: "begins with a hyphen is refused"},
		{address: "ssh://-oProxyCommand=touch@host/x", err: "begins with a hyphen is refused"},
		{address: "-oProxyCommand=x@host:repo", err: "is not the address of a git repository"},
		{address: "git@-oProxyCommand:repo", err: "begins with a hyphen is refused"},
		{address: "-o@host:repo", err: "begins with a hyphen is refused"},
	} {
		got, err := parseGit(c.address)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error is %v, want %q", c.address, err, c.err)
			}
			continue
		}
		if c.want.shown == "" {
			c.want.shown = c.want.repository
		}
		if err != nil || got != c.want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.address, got, err, c.want)
		}
	}
}

// What counts as the address of a git repository, and what it means, is what BuildKit says, as in Docker Compose.
func TestIsGitAsBuildKitSays(t *testing.T) {
	for _, address := range []string{
		"https://host/repo.git", "http://host/repo.git#a:b", "https://host/repo", "https://host/compose.yaml", "HTTPS://host/repo.git",
		"git@host:repo", "git@host:a/b.git#x:y", "git://host/repo", "ssh://git@host/repo", "github.com/a/b", "./github.com/a/b",
		"compose.yaml", "../compose.yaml", "/abs/compose.yaml", "C:\\compose.yaml", "oci://host/x", "file:///repo.git", "ext::sh -c x",
		"", "a b@host:c", "user@host", "other/compose@v1.yaml", "https://host/repo.git/compose.yaml", "ftp://host/repo.git",
		"https://host/repo.git?ref=x&subdir=y", "git@host:repo?branch=x", "git@host:repo#main:a/b.yaml",
	} {
		want, _, err := dfgitutil.ParseGitRef(address)
		if got := isGit(address); got != (err == nil) {
			t.Errorf("%q: isGit is %v, BuildKit says %v", address, got, err)
		}
		if err != nil {
			continue
		}
		got, err := parseGit(address)
		if repository := strings.TrimPrefix(got.repository, "https://github.com"); err != nil || repository != strings.TrimPrefix(want.Remote, "github.com") ||
			got.ref != want.Ref || got.folder != want.SubDir {
			t.Errorf("%q: %+v, %v; BuildKit says %+v", address, got, err, want)
		}
	}
}

// Whatever is written as an address, what git is told of it begins with no hyphen, the folder stays inside, and what is an address is
// what BuildKit takes for one.
func FuzzParseGit(f *testing.F) {
	for _, address := range []string{"https://host/repo.git#main:a/b", "git@host:repo?ref=x#y:z", "github.com/a/b", "ssh://-x@h/p", "https://h/r.git?subdir=../x"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		_, _, err := dfgitutil.ParseGitRef(address)
		a, ownErr := parseGit(address)
		if err == nil && !isGit(address) || ownErr == nil && !isGit(address) {
			t.Errorf("%q is no address, though BuildKit takes it (%v) or it can be taken apart (%v)", address, err, ownErr)
		}
		if ownErr != nil {
			return
		}
		if strings.HasPrefix(a.repository, "-") || strings.HasPrefix(a.ref, "-") || a.folder != "" && !filepath.IsLocal(a.folder) {
			t.Errorf("%q is taken apart as %+v", address, a)
		}
	})
}
