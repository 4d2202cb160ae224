package runtime

import "embed"

//go:embed all:binary
var binary embed.FS
