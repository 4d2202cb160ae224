package model

import "stackrun.dev/stack/project/internal/tree"

// Canonical gives everything in a file's tree its long form, in place. What it makes has the place of what it was made of.
// What cannot be parsed stays as it is. A tree in its long form is not changed.
func Canonical(root *tree.Value) {
}
