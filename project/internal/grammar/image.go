package grammar

import (
	"slices"
	"strings"
)

const (
	longestTag  = 128
	longestName = 255
)

// Image checks [registry[:port]/]name[:tag][@digest], or the ID of an image.
var Image = optional(func(text string) *Fault {
	fault := func(part, problem, fix string) *Fault {
		return &Fault{Rule: "invalid-image", Part: part, Problem: quote(text) + " is not the name of an image: " + problem, Fix: fix}
	}
	if isHex(strings.TrimPrefix(text, "sha256:"), 64) {
		return nil
	}
	name, digest, hasDigest := strings.Cut(text, "@")
	if hasDigest && !isDigest(digest) {
		return fault(digest, quote(digest)+" is not a digest", "write sha256: and 64 hexadecimal digits")
	}
	name, tag, hasTag := cutTag(name)
	if hasTag && !isTag(tag) {
		return fault(tag, quote(tag)+" is not a tag", "write up to 128 letters, digits, dots, hyphens or underscores")
	}
	path := strings.Split(withoutRegistry(name), "/")
	switch i := slices.IndexFunc(path, func(part string) bool { return !isPathPart(part) }); {
	case strings.ContainsAny(name, " \t\n"):
		return fault("", "it has a space in it", "")
	case strings.Contains(name, "://"):
		return fault("", "it is an address of the web", "leave out "+name[:strings.Index(name, "://")+3])
	case i >= 0 && path[i] != strings.ToLower(path[i]) && isPathPart(strings.ToLower(path[i])):
		return fault(path[i], "it must be in lower case", "write "+strings.Replace(text, path[i], strings.ToLower(path[i]), 1))
	case i >= 0:
		return fault(path[i], quote(path[i])+" cannot be a part of it", "write lower-case letters and digits, with single dots, hyphens or underscores between them")
	case len(strings.Join(path, "/")) > longestName:
		return fault("", "it is too long", "")
	}
	return nil
})

// cutTag cuts at the colon that is not that of a registry's port.
func cutTag(name string) (rest, tag string, ok bool) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:], true
	}
	return name, "", false
}

func withoutRegistry(name string) string {
	host, rest, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" && host == strings.ToLower(host) {
		return name
	}
	if !isRegistry(host) {
		return name
	}
	return rest
}

// isRegistry is a name or an address, the latter in brackets if it is of version 6, with or without a port.
func isRegistry(s string) bool {
	host, port := s, "0"
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
	}
	if !digits(port) {
		return false
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && strings.Trim(inner, "0123456789abcdefABCDEF:") == ""
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || !only(label, "-") || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

func isTag(s string) bool {
	return s != "" && len(s) <= longestTag && only(s, "_.-") && s[0] != '.' && s[0] != '-'
}

func isDigest(s string) bool {
	algorithm, hex, ok := strings.Cut(s, ":")
	lengths := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}
	return ok && isHex(hex, lengths[algorithm])
}

func isHex(s string, length int) bool {
	return len(s) == length && length > 0 && strings.Trim(s, "0123456789abcdef") == ""
}

// isPathPart is lower-case letters and digits with one dot, one or two underscores, or hyphens between them.
func isPathPart(s string) bool {
	separators := 0
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			separators = 0
			continue
		case c != '.' && c != '_' && c != '-' || i == 0:
			return false
		}
		separators++
		if between := s[i+1-separators : i+1]; between != "." && between != "_" && between != "__" && strings.Trim(between, "-") != "" {
			return false
		}
	}
	return s != "" && separators == 0
}

var (
	systems       = []string{"linux", "windows", "darwin", "macos", "osx", "freebsd", "netbsd", "openbsd", "solaris", "illumos", "aix", "android", "wasi", "wasip1"}
	architectures = []string{
		"amd64", "x86_64", "x86-64", "386", "i386", "i686", "arm64", "aarch64", "arm", "armhf", "armel", "ppc64le", "ppc64", "s390x",
		"riscv64", "loong64", "mips64le", "mips64", "mipsle", "mips", "wasm",
	}
)

// Platform checks os[/architecture[/variant]]; the architecture may stand alone.
var Platform = optional(func(text string) *Fault {
	const fix = "write for example linux/amd64 or linux/arm64"
	parts := strings.Split(strings.ToLower(text), "/")
	if len(parts) == 1 && slices.Contains(architectures, parts[0]) || parts[0] == "local" {
		return nil
	}
	system, _, _ := strings.Cut(parts[0], "(")
	switch {
	case len(parts) > 3:
		return form("platform", text, "a platform", fix)
	case !slices.Contains(systems, system):
		return &Fault{Rule: "invalid-platform", Part: parts[0], Problem: quote(parts[0]) + " is not an operating system", Fix: fix}
	case len(parts) > 1 && !slices.Contains(architectures, parts[1]):
		return &Fault{Rule: "invalid-platform", Part: parts[1], Problem: quote(parts[1]) + " is not an architecture", Fix: fix}
	case len(parts) == 3 && (parts[2] == "" || !only(parts[2], "._-")):
		return form("platform", text, "a platform", fix)
	}
	return nil
})
