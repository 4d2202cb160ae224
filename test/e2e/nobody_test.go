package e2e

import (
	"os/exec"
	"syscall"
)

// asNobody makes the command run without any right.
func asNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
