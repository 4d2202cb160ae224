//go:build seccomp

package filter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/stub"
)

var architectures = map[specs.Arch]seccomp.ScmpArch{
	specs.ArchX86: seccomp.ArchX86, specs.ArchX86_64: seccomp.ArchAMD64, specs.ArchX32: seccomp.ArchX32,
	specs.ArchARM: seccomp.ArchARM, specs.ArchAARCH64: seccomp.ArchARM64, specs.ArchMIPS: seccomp.ArchMIPS,
	specs.ArchMIPS64: seccomp.ArchMIPS64, specs.ArchMIPS64N32: seccomp.ArchMIPS64N32,
	specs.ArchMIPSEL: seccomp.ArchMIPSEL, specs.ArchMIPSEL64: seccomp.ArchMIPSEL64,
	specs.ArchMIPSEL64N32: seccomp.ArchMIPSEL64N32, specs.ArchPPC: seccomp.ArchPPC, specs.ArchPPC64: seccomp.ArchPPC64,
	specs.ArchPPC64LE: seccomp.ArchPPC64LE, specs.ArchS390: seccomp.ArchS390, specs.ArchS390X: seccomp.ArchS390X,
	specs.ArchRISCV64: seccomp.ArchRISCV64,
}

var actions = map[specs.LinuxSeccompAction]seccomp.ScmpAction{
	specs.ActKill: seccomp.ActKillThread, specs.ActKillThread: seccomp.ActKillThread,
	specs.ActKillProcess: seccomp.ActKillProcess, specs.ActTrap: seccomp.ActTrap, specs.ActAllow: seccomp.ActAllow,
	specs.ActLog: seccomp.ActLog, specs.ActErrno: seccomp.ActErrno, specs.ActTrace: seccomp.ActTrace,
}

var operators = map[specs.LinuxSeccompOperator]seccomp.ScmpCompareOp{
	specs.OpNotEqual: seccomp.CompareNotEqual, specs.OpLessThan: seccomp.CompareLess,
	specs.OpLessEqual: seccomp.CompareLessOrEqual, specs.OpEqualTo: seccomp.CompareEqual,
	specs.OpGreaterEqual: seccomp.CompareGreaterEqual, specs.OpGreaterThan: seccomp.CompareGreater,
	specs.OpMaskedEqual: seccomp.CompareMaskedEqual,
}

func version() string {
	major, minor, micro := seccomp.GetLibraryVersion()
	return fmt.Sprint("-", major, ".", minor, ".", micro)
}

func compile(profile *specs.LinuxSeccomp) ([]byte, error) {
	fallback, err := action(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	f, err := seccomp.NewFilter(fallback)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	archs := make([]seccomp.ScmpArch, 0, len(profile.Architectures))
	for _, name := range profile.Architectures {
		arch, ok := architectures[name]
		if !ok {
			return nil, fmt.Errorf("unknown architecture %s", name)
		}
		if err := f.AddArch(arch); err != nil {
			return nil, fmt.Errorf("architecture %s: %w", name, err)
		}
		archs = append(archs, arch)
	}
	if len(profile.Syscalls) > 8 {
		_ = f.SetOptimize(2) // a binary tree instead of a list; older libraries have none
	}
	for _, s := range profile.Syscalls {
		if err := addRules(f, s, fallback); err != nil {
			return nil, err
		}
	}
	code, err := export(f)
	if err != nil {
		return nil, err
	}
	if len(profile.Syscalls) == 0 || profile.DefaultAction == specs.ActAllow || profile.DefaultAction == specs.ActLog {
		return code, nil
	}
	return append(encode(unknownCalls(archs, newest(profile, archs))), code...), nil
}

func action(name specs.LinuxSeccompAction, errno *uint) (seccomp.ScmpAction, error) {
	a, ok := actions[name]
	if !ok {
		return a, fmt.Errorf("unknown seccomp action %q", name)
	}
	if a == seccomp.ActErrno || a == seccomp.ActTrace {
		code := uint(unix.EPERM)
		if errno != nil {
			code = *errno
		}
		return a.SetReturnCode(int16(code)), nil
	}
	return a, nil
}

func addRules(f *seccomp.ScmpFilter, s specs.LinuxSyscall, fallback seccomp.ScmpAction) error {
	act, err := action(s.Action, s.ErrnoRet)
	if err != nil || act == fallback {
		return err
	}
	sets, err := conditions(s.Args)
	if err != nil {
		return err
	}
	for _, name := range s.Names {
		call, err := seccomp.GetSyscallFromName(name)
		if err != nil {
			continue // the profile knows calls that this library does not
		}
		for _, set := range sets {
			if len(set) == 0 {
				err = f.AddRule(call, act)
			} else {
				err = f.AddRuleConditional(call, act, set)
			}
			if err != nil {
				return fmt.Errorf("rule for %s: %w", name, err)
			}
		}
	}
	return nil
}

// conditions returns alternatives. All arguments must match, unless one is compared twice: such conditions are
// alternatives, because the library cannot combine them and Docker's profiles mean them that way.
func conditions(args []specs.LinuxSeccompArg) ([][]seccomp.ScmpCondition, error) {
	all := make([]seccomp.ScmpCondition, len(args))
	seen := map[uint]bool{}
	twice := false
	for i, arg := range args {
		op, ok := operators[arg.Op]
		if !ok {
			return nil, fmt.Errorf("unknown operator %q", arg.Op)
		}
		c, err := seccomp.MakeCondition(arg.Index, op, arg.Value, arg.ValueTwo)
		if err != nil {
			return nil, err
		}
		all[i] = c
		twice = twice || seen[arg.Index]
		seen[arg.Index] = true
	}
	if !twice {
		return [][]seccomp.ScmpCondition{all}, nil
	}
	each := make([][]seccomp.ScmpCondition, len(all))
	for i := range all {
		each[i] = all[i : i+1]
	}
	return each, nil
}

func export(f *seccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "filter")
	defer file.Close()
	if err := f.ExportBPF(file); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

// newest is the highest number of a system call that the profile knows, per architecture.
func newest(profile *specs.LinuxSeccomp, archs []seccomp.ScmpArch) map[seccomp.ScmpArch]uint32 {
	high := map[seccomp.ScmpArch]uint32{}
	for _, arch := range archs {
		for _, s := range profile.Syscalls {
			for _, name := range s.Names {
				nr, err := seccomp.GetSyscallFromNameByArch(name, arch)
				if err == nil && nr >= 0 {
					high[arch] = max(high[arch], uint32(nr))
				}
			}
		}
	}
	return high
}

// The kernel's names for architectures, linux/audit.h. Others go without the prologue.
var auditArch = map[seccomp.ScmpArch]uint32{
	seccomp.ArchAMD64: unix.AUDIT_ARCH_X86_64, seccomp.ArchX86: unix.AUDIT_ARCH_I386,
	seccomp.ArchARM64: unix.AUDIT_ARCH_AARCH64, seccomp.ArchARM: unix.AUDIT_ARCH_ARM,
	seccomp.ArchRISCV64: unix.AUDIT_ARCH_RISCV64, seccomp.ArchS390X: unix.AUDIT_ARCH_S390X,
	seccomp.ArchPPC64LE: unix.AUDIT_ARCH_PPC64LE,
}

// x32Bit marks system calls of the x32 architecture, which is otherwise that of x86-64.
const x32Bit = 0x40000000

// unknownCalls is a prologue that answers ENOSYS to system calls newer than the profile. Otherwise they would get
// EPERM, which makes C libraries give up instead of trying the older call.
func unknownCalls(archs []seccomp.ScmpArch, high map[seccomp.ScmpArch]uint32) []stub.Instruction {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		above = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
		atMin = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
		nr    = 0 // offsets in struct seccomp_data
		arch  = 4
	)
	enosys := stub.Instruction{Code: ret, K: uint32(unix.SECCOMP_RET_ERRNO | unix.ENOSYS)}
	var code []stub.Instruction
	for _, a := range archs {
		audit, known := auditArch[a]
		if !known || high[a] == 0 {
			continue
		}
		block := []stub.Instruction{{Code: load, K: nr}}
		if a == seccomp.ArchAMD64 {
			block = append(block, stub.Instruction{Code: atMin, Jt: 2, K: x32Bit})
		}
		block = append(block, stub.Instruction{Code: above, Jf: 1, K: high[a]}, enosys)
		code = append(code, stub.Instruction{Code: load, K: arch},
			stub.Instruction{Code: equal, Jf: uint8(len(block)), K: audit})
		code = append(code, block...)
	}
	return code
}

func encode(code []stub.Instruction) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.NativeEndian, code)
	return b.Bytes()
}
