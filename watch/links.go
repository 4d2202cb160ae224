package watch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// directories are those in which something happens when one of the files changes or when its path leads elsewhere: where it is,
// or would be, and where the symbolic links are that lead there. No path of them has a link in it.
func directories(paths []string) []string {
	var out []string
	for _, path := range paths {
		out = append(out, onTheWay(path)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mostLinks is how many links the kernel follows on the way to a file.
//
// https://man7.org/linux/man-pages/man7/path_resolution.7.html
const mostLinks = 40

// onTheWay goes to the file as the kernel does. The last of the result is the directory that has the file, or that has to
// change before it can be there.
func onTheWay(path string) (dirs []string) {
	at, rest := "/", parts(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		switch {
		case err == nil && info.Mode()&os.ModeSymlink != 0 && links < mostLinks:
			links++
			dirs = append(dirs, at)
			to, _ := os.Readlink(next)
			if filepath.IsAbs(to) {
				at = "/"
			}
			rest = append(parts(to), rest...)
		case err == nil && info.IsDir() && len(rest) > 0:
			at = next
		default:
			return append(dirs, at)
		}
	}
	return append(dirs, at)
}

func parts(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(part string) bool { return part == "" || part == "." })
}
