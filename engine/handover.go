package engine

import "github.com/docker/docker/api/types"

// LabelTakesOver is a label with the full ID of the container that the labelled one is to replace without a gap.
//
// With an engine that HandsOver, the new container may publish fixed host ports that the old one has: it starts without
// them, and lists show it without them. They become the new one's, in one step, when the old one begins to stop, before
// it gets its stop signal, or when it dies or is removed. New connections then go to the new container and established
// ones stay with the old one until they or it end. If the new one ends first, nothing happens. It holds in the other
// direction, too: the old one may be started beside a new one that has the ports by then, and gets them from it.
//
// A new container that has a health check does not answer to a name that others have as well before it is healthy for the
// first time, and no container does so once it has begun to stop.
//
// With other engines the label means nothing, and the second start is a conflict.
const LabelTakesOver = "dev.stack.takes-over"

// HandsOver reports whether the engine of that version heeds LabelTakesOver.
func HandsOver(v types.Version) bool { return does(v, handoverDetail) }
