package rules

import (
	"slices"
	"strings"
)

// folder is the name of directories, or of files, that never count with what is in them, unless a rule's path leads there.
type folder struct{ name, why string }

var folders = []folder{
	{".git", "what git keeps changes with every command; the work tree of another repository has a file of this name"},
	{".idea", "the settings of JetBrains' editors are written when a window is moved"},
}

// isFolder says whether the name is one of these.
func isFolder(name string) bool {
	return strings.HasPrefix(name, ".") && slices.ContainsFunc(folders, func(f folder) bool { return f.name == name })
}

// written are what programs in containers write where bind mounts show it: to react to it would be to react to oneself. They do
// not count for on_change.
var written = []string{
	"**/__pycache__", // what Python has compiled: it writes that when it has been restarted
}

// form is what names of files look like that editors and other programs make while they save, and soon remove.
type form struct {
	prefix  string
	between middle
	suffix  string
	why     string
}

// middle is what stands between the beginning and the end of a name.
type middle struct {
	shown string // as a pattern
	fits  func(text string) bool
}

var (
	anything     = middle{"*", func(string) bool { return true }}
	nothing      = middle{"", func(text string) bool { return text == "" }}
	random       = middle{"??????", isRandom}
	randomNoWord = middle{"??????", func(text string) bool { return isRandom(text) && !only(text, isLower) }}
	inRandom     = middle{"*.??????", endsInRandom}
	number       = middle{"*", func(text string) bool { return len(text) >= 16 && strings.Trim(text, "0123456789abcdef") == "" }}
)

// temporary are names of files that never count. What is not here and gone by the time a save is over does not count either,
// since only what differs then does; so names that a file of the user's may well have are left out.
var temporary = []form{
	{"4913", nothing, "", "vim looks whether it may write in the folder"},
	{".", anything, ".swp", "vim, nano: who edits the file, and what is not saved yet"},
	{".swp", nothing, "", "vim: the same of a text that has no name yet"},
	{".", anything, ".swo", "vim: a second one edits the file"},
	{".", anything, ".swn", "vim: a third one"},
	{".", anything, ".swm", "vim: a fourth one"},
	{".", anything, ".swx", "vim looks how the file system shortens names"},
	{"", anything, "~", "vim, emacs, nano, gedit, kate: the file before it was saved"},
	{".#", anything, "", "emacs, mcedit: who edits the file"},
	{"#", anything, "#", "emacs: what is not saved yet"},
	{".", anything, ".kate-swp", "kate: what is not saved yet"},
	{"", anything, "___jb_tmp___", "JetBrains: the file as it will be"},
	{"", anything, "___jb_old___", "JetBrains: the file as it was"},
	{".goutputstream-", random, "", "gedit and whatever else saves with GLib: the file as it will be"},
	{"", anything, ".vsctmp", "VS Code: the file as it will be"},
	{".tmp", random, "", "Zed and whatever else saves with Rust's tempfile: the file as it will be"},
	{".subl", anything, ".tmp", "Sublime Text: the file as it will be"},
	{".~lock.", anything, "#", "LibreOffice: who edits the file"},
	{"sed", randomNoWord, "", "sed -i: the file as it will be. Not if that is a word, such as sedatives"},
	{".", inRandom, "", "rsync: the file as it will be. Not if what is random has one case only, such as .env.docker"},
	{".merge_file_", random, "", "git: what a merge driver is given"},
	{".nfs", number, "", "NFS: what was removed while somebody has it open"},
	{".fuse_hidden", anything, "", "FUSE: the same"},
	{"", anything, "-go-tmp-umask", "go build looks which permissions new files get"},
}

// isTemporary says whether the name is one of a file that never counts.
func isTemporary(name string) bool {
	return slices.ContainsFunc(temporary, func(f form) bool {
		return len(name) >= len(f.prefix)+len(f.suffix) && strings.HasPrefix(name, f.prefix) && strings.HasSuffix(name, f.suffix) &&
			f.between.fits(name[len(f.prefix):len(name)-len(f.suffix)])
	})
}

// isRandom says whether the text is what the X of mkstemp become.
func isRandom(text string) bool {
	return len(text) == 6 && only(text, func(r rune) bool { return isLower(r) || isUpper(r) || isDigit(r) })
}

// endsInRandom leaves out extensions that people give: .env.docker, .env.LOCAL1.
func endsInRandom(text string) bool {
	dot := strings.LastIndexByte(text, '.')
	end := text[dot+1:]
	return dot > 0 && isRandom(end) && strings.IndexFunc(end, isLower) >= 0 && strings.IndexFunc(end, isUpper) >= 0
}

func only(text string, is func(rune) bool) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !is(r) }) < 0
}

func isLower(r rune) bool { return r >= 'a' && r <= 'z' }
func isUpper(r rune) bool { return r >= 'A' && r <= 'Z' }
func isDigit(r rune) bool { return r >= '0' && r <= '9' }
