package remote

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// gitAddress is a git repository's address as docker build spells it: REPOSITORY[#REF[:FOLDER]], or with the query
// ?ref=REF&subdir=FOLDER (https://docs.docker.com/build/concepts/context/#git-repositories).
type gitAddress struct {
	repository string // what git understands
	shown      string // the same without a password
	ref        string // branch, tag, full name or commit; "" for the default branch
	folder     string // inside the repository, clean and relative; "" for its root. It may also be a file
	commit     string // what the ref must be, from ?checksum= or ?commit=; may be abbreviated
}

// Schemes of git that are spoken.
var gitSchemes = []string{"http", "https", "ssh", "git"}

var (
	schemeOf = lazily(`^([a-zA-Z0-9]+)://`)
	scpStyle = lazily(`^([a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:.*?)(?:\?(.*?))?(?:#(.*))?$`)
)

// isGit says whether the address is that of a git repository: it has a scheme of git (and ends in .git where that scheme is
// the web's), is of the form user@host:path, or begins with github.com/.
func isGit(address string) bool {
	_, rest, ok := cutRepository(address)
	return ok && rest != ""
}

// cutRepository finds out of which kind the address is, and returns its scheme ("" for user@host:path) and all of it with
// the scheme written out.
func cutRepository(address string) (scheme, full string, ok bool) {
	if strings.HasPrefix(address, "github.com/") {
		return "https", "https://" + address, true
	}
	m := schemeOf().FindStringSubmatch(address)
	if m == nil {
		return "", address, scpStyle().MatchString(address)
	}
	scheme = strings.ToLower(m[1])
	if !slices.Contains(gitSchemes, scheme) {
		return "", "", false
	}
	if scheme == "http" || scheme == "https" {
		u, err := url.Parse(address)
		return scheme, address, err == nil && strings.HasSuffix(u.Path, ".git")
	}
	return scheme, address, true
}

// parseGit takes apart an address that isGit accepts.
func parseGit(address string) (gitAddress, error) {
	scheme, full, ok := cutRepository(address)
	if !ok {
		return gitAddress{}, errors.New("it is not the address of a git repository")
	}
	a, query, fragment, err := splitAddress(scheme, full)
	if err != nil {
		return a, err
	}
	ref, folder, _ := strings.Cut(fragment, ":")
	a.ref = ref
	if err := a.readQuery(query, &folder); err != nil {
		return a, err
	}
	if a.folder, err = cleanFolder(folder); err != nil {
		return a, err
	}
	return a, a.check()
}

var errHyphen = errors.New("a host or user that begins with a hyphen is refused")

func splitAddress(scheme, full string) (a gitAddress, query url.Values, fragment string, err error) {
	if scheme == "" {
		m := scpStyle().FindStringSubmatch(full)
		if strings.Contains(m[1], "@-") {
			return a, nil, "", errHyphen
		}
		a.repository, a.shown = m[1], m[1]
		query, err = url.ParseQuery(m[2])
		return a, query, m[3], err
	}
	u, err := url.Parse(full)
	if err != nil {
		return a, nil, "", err
	}
	if strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.User.Username(), "-") {
		return a, nil, "", errHyphen
	}
	query, fragment = u.Query(), u.Fragment
	u.RawQuery, u.Fragment, u.RawFragment = "", "", ""
	a.repository, a.shown = u.String(), u.Redacted()
	return a, query, fragment, nil
}

// readQuery reads what stands after "?". It says the same as what stands after "#", and must not contradict it.
func (a *gitAddress) readQuery(query url.Values, folder *string) error {
	for name, values := range query {
		value := values[0]
		if len(values) > 1 {
			return fmt.Errorf("it has %q twice", name)
		}
		var err error
		switch name {
		case "ref":
			err = setOnce(&a.ref, name, value)
		case "branch":
			err = setOnce(&a.ref, name, "refs/heads/"+strings.TrimPrefix(value, "refs/heads/"))
		case "tag":
			err = setOnce(&a.ref, name, "refs/tags/"+strings.TrimPrefix(value, "refs/tags/"))
		case "subdir":
			err = setOnce(folder, name, value)
		case "checksum", "commit":
			err = setOnce(&a.commit, name, value)
		case "submodules":
			if value != "false" && value != "0" {
				err = errors.New("submodules are not fetched")
			}
		case "keep-git-dir", "mtime", "fetch-by-commit":
			// they are about builds; nothing here depends on them
		default:
			err = fmt.Errorf("%q is not known in its query; known are ref, branch, tag, subdir, checksum", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func setOnce(field *string, name, value string) error {
	if value == "" {
		return fmt.Errorf("%q has no value", name)
	}
	if *field != "" && *field != value {
		return fmt.Errorf("%q says %q, and another part of the address %q", name, value, *field)
	}
	*field = value
	return nil
}

// cleanFolder refuses what leaves the repository.
func cleanFolder(folder string) (string, error) {
	if slices.Contains(strings.Split(strings.ReplaceAll(folder, `\`, "/"), "/"), "..") {
		return "", fmt.Errorf("its folder %q leads out of the repository", folder)
	}
	return strings.TrimPrefix(path.Clean("/"+folder), "/"), nil
}

var (
	wholeCommit = lazily(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	someCommit  = lazily(`^[0-9a-f]{4,64}$`)
)

// check refuses what git could take for an option or a pattern.
func (a *gitAddress) check() error {
	if strings.HasPrefix(a.repository, "-") {
		return errors.New("a repository that begins with a hyphen is refused")
	}
	if a.commit != "" && !someCommit().MatchString(a.commit) {
		return fmt.Errorf("its checksum %q is not a commit", a.commit)
	}
	if a.ref == "" {
		return nil
	}
	// https://git-scm.com/docs/git-check-ref-format
	bad := strings.HasPrefix(a.ref, "-") || strings.Contains(a.ref, "..") || strings.Contains(a.ref, "@{") ||
		strings.ContainsFunc(a.ref, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) })
	if bad {
		return fmt.Errorf("%q is not the name of a branch, tag or commit", a.ref)
	}
	return nil
}

// lazily is a pattern that is compiled when it is first needed: most commands never do.
func lazily(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
