package grammar

import "strings"

// Volume checks [source:]target[:options] of a mount.
func Volume(text string) *Fault {
	const fix = `write "./folder:/path/in/container" or "name:/path/in/container:ro"`
	if text == "" {
		return form("volume", text, "a mount", fix)
	}
	if windows(text) {
		return nil // paths with a drive and a colon of their own
	}
	parts := strings.Split(text, ":")
	target := parts[0]
	if len(parts) > 1 {
		target = parts[1]
	}
	switch {
	case len(parts) > 3:
		return form("volume", text, "a mount: it has too many colons", fix)
	case strings.TrimSpace(parts[0]) == "":
		return form("volume", text, "a mount: nothing stands before the colon", fix)
	case len(parts) > 1 && !strings.HasPrefix(target, "/"):
		return &Fault{Rule: "invalid-volume", Part: target, Problem: quote(target) + " is not an absolute path in the container", Fix: fix}
	case len(parts) == 1 && !strings.HasPrefix(target, "/"):
		return form("volume", text, "an absolute path in the container", "write "+quote(text+":/path/in/container"))
	case len(parts) == 3:
		f := MountOptions(parts[2])
		if f != nil {
			f.Before = strings.TrimSuffix(text, parts[2]) + f.Before
		}
		return f
	}
	return nil
}

// windows says whether there is a backslash in it, or a drive's letter: "c:/a:/b", where "c:/a:ro" is a volume called c.
func windows(text string) bool {
	if strings.Contains(text, `\`) {
		return true
	}
	if len(text) < 3 || !alphanumeric(rune(text[0])) || digit(rune(text[0])) || text[1:3] != ":/" {
		return false
	}
	_, rest, _ := strings.Cut(text[2:], ":")
	return strings.HasPrefix(rest, "/")
}

// Target checks where something appears in the container.
var Target = optional(func(text string) *Fault {
	if strings.HasPrefix(text, "/") || windows(text) || len(text) > 1 && text[1] == ':' {
		return nil
	}
	return form("path", text, "an absolute path in the container", "begin it with /")
})

// Tmpfs checks path[:options].
func Tmpfs(text string) *Fault {
	path, _, _ := strings.Cut(text, ":")
	if path == "" {
		return form("path", text, "a path in the container", "begin it with /")
	}
	return Target(path)
}

// Device checks source[:target[:permissions]], or the name of a kind of devices, vendor/class=name.
func Device(text string) *Fault {
	parts := strings.Split(text, ":")
	switch {
	case !strings.HasPrefix(text, "/") && strings.Contains(text, "="):
		return nil
	case len(parts) > 3 || parts[0] == "":
		return form("device", text, "a device", `write "/dev/source:/dev/target:rwm"`)
	case len(parts) == 3:
		return Permissions(parts[2])
	}
	return nil
}

// Permissions checks what may be done with a device.
var Permissions = optional(func(text string) *Fault {
	if strings.Trim(text, "rwm") != "" {
		return &Fault{Rule: "invalid-device", Part: text, Problem: quote(text) + " is not a permission", Fix: "write some of r, w and m"}
	}
	return nil
})

// Link checks service[:alias].
func Link(text string) *Fault {
	if service, alias, given := strings.Cut(text, ":"); service == "" || given && (alias == "" || strings.Contains(alias, ":")) {
		return form("link", text, "a link", "write SERVICE or SERVICE:ALIAS")
	}
	return nil
}
