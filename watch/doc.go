// Package watch tells when files have changed. A Source reports that something happened in a directory: watch/fsnotify asks the
// kernel, watch/poll looks again and again, and a Fallback polls what the kernel does not tell. A Watcher makes batches of that
// for a few files, those of a project, and looks whether their content is another one; watch/tree does so for whole trees.
//
// Directories are watched and not files, because editors save by writing another file and renaming it. Where a directory is
// missing, the nearest one above it is watched until it is there.
package watch
