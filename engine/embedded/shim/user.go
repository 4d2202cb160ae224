package shim

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// identity is whom a process runs as.
type identity struct {
	UID, GID int
	Groups   []int
	Home     string
}

// maxDatabase is how much is read of a container's /etc/passwd and /etc/group.
const maxDatabase = 8 << 20

// resolveUser looks up Docker's "user[:group]" and further groups in the files of a container's root, which are the
// container's: they may be missing, links to anywhere, or no files at all. An empty name means fallback.
func resolveUser(root *os.File, name string, groups []string, fallback *specs.User) (identity, error) {
	passwd, err := readInRoot(root, "etc/passwd")
	if err != nil {
		return identity{}, err
	}
	group, err := readInRoot(root, "etc/group")
	if err != nil {
		return identity{}, err
	}
	var id identity
	if name == "" {
		id = identity{UID: int(fallback.UID), GID: int(fallback.GID), Home: homeOf(passwd, int(fallback.UID))}
		for _, g := range fallback.AdditionalGids {
			id.Groups = append(id.Groups, int(g))
		}
	} else {
		u, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
		if err != nil {
			return id, protocol.Errorf(protocol.Invalid, "cannot find user %q in the container: %w", name, err)
		}
		id = identity{UID: u.Uid, GID: u.Gid, Groups: u.Sgids, Home: u.Home}
	}
	if len(groups) > 0 {
		more, err := user.GetAdditionalGroups(groups, bytes.NewReader(group))
		if err != nil {
			return id, protocol.Errorf(protocol.Invalid, "cannot find the groups %q in the container: %w", groups, err)
		}
		id.Groups = append(id.Groups, more...)
	}
	if id.Home == "" {
		id.Home = "/"
	}
	return id, nil
}

func homeOf(passwd []byte, uid int) string {
	users, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool { return u.Uid == uid })
	if err != nil || len(users) == 0 {
		return "/"
	}
	return users[0].Home
}

// readInRoot reads a regular file below root without ever leaving it. What is no such file has no content. It is looked
// at before it is opened: opening a device may do something.
func readInRoot(root *os.File, path string) ([]byte, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(int(root.Fd()), path, &how)
	for errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) { // something was renamed meanwhile, anywhere
		fd, err = unix.Openat2(int(root.Fd()), path, &how)
	}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil, nil
	case err != nil:
		return nil, &os.PathError{Op: "open in the container", Path: path, Err: err}
	}
	found := os.NewFile(uintptr(fd), path)
	defer found.Close()
	if info, err := found.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxDatabase))
}
