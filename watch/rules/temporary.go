package rules

import (
	"slices"
	"strings"
)

// folders are directories, or files of the same name, that never count with what is in them, unless a rule's path leads there.
var folders = map[string]bool{
	".git":  true, // what git keeps: it changes with every command. A work tree of another repository has a file of this name
	".idea": true, // the settings of JetBrains' editors, written whenever a window is moved
}

// written are what programs in containers write where bind mounts show it: to react to it would be to react to oneself.
var written = []string{
	"**/__pycache__", // what Python has compiled: it writes that when it has been restarted
}

// form is what names of files look like that editors and other programs make while they save, and soon remove.
type form struct {
	prefix, suffix string
	between        func(text string) bool // what stands between the two; nil: anything
}

// temporary are names of files that never count. What is not here and gone by the time a save is over does not count either,
// since only what differs then does; so names that a file of the user's may well have are left out.
var temporary = []form{
	{"4913", "", empty},             // vim looks whether it may write in the directory
	{".", ".swp", nil},              // vim, nano: who edits the file, and what is not saved yet
	{".swp", "", empty},             // vim: the same of a text that has no name yet
	{".", ".swo", nil},              // vim: a second one edits the file
	{".", ".swn", nil},              // vim: a third one
	{".", ".swm", nil},              // vim: a fourth one
	{".", ".swx", nil},              // vim looks how the file system shortens names
	{"", "~", nil},                  // vim, emacs, nano, gedit, kate: the file before it was saved
	{".#", "", nil},                 // emacs, mcedit: who edits the file
	{"#", "#", nil},                 // emacs: what is not saved yet
	{".", ".kate-swp", nil},         // kate: what is not saved yet
	{"", "___jb_tmp___", nil},       // JetBrains: the file as it will be
	{"", "___jb_old___", nil},       // JetBrains: the file as it was
	{".goutputstream-", "", random}, // gedit and whatever else saves with GLib: the file as it will be
	{"", ".vsctmp", nil},            // VS Code: the file as it will be
	{".tmp", "", random},            // Zed and whatever else saves with Rust's tempfile: the file as it will be
	{".subl", ".tmp", nil},          // Sublime Text: the file as it will be
	{".~lock.", "#", nil},           // LibreOffice: who edits the file
	{"sed", "", randomNoWord},       // sed -i: the file as it will be
	{".", "", endsInRandom},         // rsync: .NAME.XXXXXX, the file as it will be
	{".merge_file_", "", random},    // git: what a merge driver is given
	{".nfs", "", inodeNumber},       // NFS: what was removed while somebody has it open
	{".fuse_hidden", "", nil},       // FUSE: the same
	{"", "-go-tmp-umask", nil},      // go build looks which permissions new files get
}

// isTemporary says whether the name is one of a file that never counts.
func isTemporary(name string) bool {
	return slices.ContainsFunc(temporary, func(f form) bool {
		return len(name) >= len(f.prefix)+len(f.suffix) && strings.HasPrefix(name, f.prefix) && strings.HasSuffix(name, f.suffix) &&
			(f.between == nil || f.between(name[len(f.prefix):len(name)-len(f.suffix)]))
	})
}

func empty(text string) bool { return text == "" }

// random is what the X of mkstemp become.
func random(text string) bool {
	return len(text) == 6 && strings.IndexFunc(text, func(r rune) bool { return !isLetter(r) && !isDigit(r) }) < 0
}

// randomNoWord leaves out what may be the end of a word: sedatives is no file of sed's.
func randomNoWord(text string) bool {
	return random(text) && strings.IndexFunc(text, func(r rune) bool { return !isLower(r) }) >= 0
}

// endsInRandom leaves out extensions that people give: .env.docker, .env.LOCAL1.
func endsInRandom(text string) bool {
	dot := strings.LastIndexByte(text, '.')
	return dot > 0 && random(text[dot+1:]) && strings.IndexFunc(text[dot+1:], isLower) >= 0 && strings.IndexFunc(text[dot+1:], isUpper) >= 0
}

func inodeNumber(text string) bool {
	return len(text) >= 16 && strings.Trim(text, "0123456789abcdef") == ""
}

func isLower(r rune) bool  { return r >= 'a' && r <= 'z' }
func isUpper(r rune) bool  { return r >= 'A' && r <= 'Z' }
func isLetter(r rune) bool { return isLower(r) || isUpper(r) }
func isDigit(r rune) bool  { return r >= '0' && r <= '9' }
