package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

var plainGroup = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// groupName makes a group's name safe and short enough for the path of a socket. The label it comes from can be
// anything.
func groupName(label string) string {
	if plainGroup.MatchString(label) {
		return label
	}
	sum := sha256.Sum256([]byte(label))
	return "x." + hex.EncodeToString(sum[:8])
}
