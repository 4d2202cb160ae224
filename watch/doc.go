// Package watch tells when files have changed: a source reports that something happened in directories, and a Watcher makes
// batches of that and looks whether the content of the files that count is another one.
//
// Directories are watched and not files, because editors save by writing another file and renaming it. Where a directory is
// missing, the nearest one above it is watched until it is there. watch/fsnotify is the source of this machine.
package watch
