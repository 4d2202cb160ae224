package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// GitOptions says how git repositories are fetched.
type GitOptions struct {
	Cache string   // where they are kept, absolute; made when it is needed
	Env   []string // the environment of git, NAME=value
	Limit int64    // how many bytes may be fetched, and how many the files may have. 0: 1 GiB
}

// Git fetches the Compose files of git repositories, with the program git. It may be used from several goroutines.
type Git struct {
	cache   cache
	program gitProgram
	memo    memo
}

// NewGit returns a Git.
func NewGit(o GitOptions) *Git {
	g := &Git{cache: cache{o.Cache}, program: newGitProgram(o.Env)}
	g.program.largest = cmp.Or(o.Limit, 1<<30)
	return g
}

// Accepts says whether the address is that of a git repository, such as https://host/repo.git#main:folder or
// git@host:repo.git.
func (g *Git) Accepts(address string) bool { return isGit(address) }

// Fetch brings the commit that the address names and returns the root of its files and the Compose file. Of a branch or a
// tag the repository is asked once in the life of a Git; a whole commit that is in the cache needs no network.
func (g *Git) Fetch(ctx context.Context, address string) (root, file string, err error) {
	a, parseErr := parseGit(address)
	return g.memo.fetchOnce(ctx, address, cmp.Or(a.shown, address), func(ctx context.Context) (result, error) {
		if parseErr != nil {
			return result{}, parseErr
		}
		return g.fetch(ctx, a)
	})
}

func (g *Git) fetch(ctx context.Context, a gitAddress) (result, error) {
	commit, err := g.resolve(ctx, a)
	if err != nil {
		return result{}, err
	}
	if !strings.HasPrefix(commit, a.commit) {
		return result{}, fmt.Errorf("%s is commit %s, not %s as the address says", cmp.Or(a.ref, "its default branch"), commit, a.commit)
	}
	root, err := g.cache.add(commit, func(dir string) error { return g.checkOut(ctx, a, commit, dir) })
	if err != nil {
		return result{}, err
	}
	file, err := composeFile(root, a.folder)
	return result{root, file}, err
}

// resolve returns the commit that the address is about.
func (g *Git) resolve(ctx context.Context, a gitAddress) (string, error) {
	if wholeCommit().MatchString(a.ref) {
		return a.ref, nil
	}
	if a.ref == "" && wholeCommit().MatchString(a.commit) {
		return a.commit, nil
	}
	ref := cmp.Or(a.ref, "HEAD")
	list, err := g.program.run(ctx, "", "ls-remote", "--exit-code", "--", a.repository, ref, ref+"^{}")
	if exitCode(err) == 2 { // git-ls-remote(1), --exit-code
		return "", noSuchRef(ref)
	}
	if err != nil {
		return "", err
	}
	return choose(list, ref)
}

func noSuchRef(ref string) error {
	if someCommit().MatchString(ref) {
		return fmt.Errorf("it has no branch or tag %q; a commit must be written in full, with 40 digits", ref)
	}
	return fmt.Errorf("it has no branch or tag %q", ref)
}

// choose finds the commit of the ref among lines of "COMMIT<tab>NAME": a full name first, then branches as git checkout
// does, then tags. A tag that is an object of its own stands for the commit that it names ("^{}").
func choose(list, ref string) (string, error) {
	found := make(map[string]string)
	for line := range strings.Lines(list) {
		if commit, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && wholeCommit().MatchString(commit) {
			found[name] = commit
		}
	}
	for _, name := range []string{ref, "refs/" + ref, "refs/heads/" + ref, "refs/tags/" + ref} {
		if commit := cmp.Or(found[name+"^{}"], found[name]); commit != "" {
			return commit, nil
		}
	}
	return "", noSuchRef(ref)
}

// checkOut fills dir with the files of the commit.
func (g *Git) checkOut(ctx context.Context, a gitAddress, commit, dir string) error {
	format := "sha1"
	if len(commit) == 64 {
		format = "sha256"
	}
	if _, err := g.program.run(ctx, dir, "init", "--quiet", "--template=", "--object-format="+format); err != nil {
		return err
	}
	if err := withoutFilters(dir); err != nil {
		return err
	}
	_, err := g.program.run(ctx, dir, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", "--", a.repository, commit)
	if err != nil && fullPack(dir, g.program.largest) {
		return tooLarge(g.program.largest)
	}
	if err != nil {
		return err
	}
	if err := g.measure(ctx, commit, dir); err != nil {
		return err
	}
	if _, err := g.program.run(ctx, dir, "checkout", "--quiet", "--detach", "--no-recurse-submodules", commit, "--"); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
		return err
	}
	return seal(dir)
}

// withoutFilters has git check out what the commit holds, whatever the repository asks for. Filters are programs that the
// user's configuration names, git-lfs for one, which would be let loose on strangers' files. This file of attributes wins
// over all others (gitattributes(5)).
func withoutFilters(dir string) error {
	info := filepath.Join(dir, ".git", "info")
	if err := os.MkdirAll(info, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(info, "attributes"), []byte("* -filter\n"), 0o600)
}

// outside is where links lead that led out of the repository: nowhere, with a name that says why.
const outside = ".outside-the-repository"

// seal makes links that lead out of the folder lead nowhere, so that nothing which follows them, now or in a later command,
// reads or writes elsewhere.
func seal(root string) error {
	inside, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer inside.Close() //nolint:errcheck // nothing was written through it
	var leaving []string
	err = fs.WalkDir(inside.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink == 0 {
			return err
		}
		// Stat follows the link as far as it stays inside, and says so if it does not.
		if _, err := inside.Stat(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			leaving = append(leaving, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, path := range leaving {
		if err := inside.Remove(path); err != nil {
			return err
		}
		if err := inside.Symlink(outside, path); err != nil {
			return err
		}
	}
	return nil
}
