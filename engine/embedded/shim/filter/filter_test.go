//go:build seccomp

package filter

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/docker/docker/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

func docker(t testing.TB) *specs.LinuxSeccomp {
	p, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run executes the program for a system call, as the kernel would.
func run(t *testing.T, p *Program, nr, arch uint32, args ...uint64) int {
	t.Helper()
	raw := make([]bpf.RawInstruction, len(p.Instructions))
	for i, in := range p.Instructions {
		raw[i] = bpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	code, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the program cannot be disassembled")
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	// struct seccomp_data; the machine reads big-endian words
	data := make([]byte, 64)
	put := func(at int, v uint32) {
		data[at], data[at+1], data[at+2], data[at+3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
	}
	put(0, nr)
	put(4, arch)
	for i, a := range args {
		put(16+8*i, uint32(a))
		put(20+8*i, uint32(a>>32))
	}
	ret, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return ret
}

func TestDockersProfile(t *testing.T) {
	p, err := NewCache(t.TempDir()).Compile(docker(t))
	if err != nil {
		t.Fatal(err)
	}
	const (
		amd64 = unix.AUDIT_ARCH_X86_64
		allow = unix.SECCOMP_RET_ALLOW
		eperm = unix.SECCOMP_RET_ERRNO | int(unix.EPERM)
		nosys = unix.SECCOMP_RET_ERRNO | int(unix.ENOSYS)
	)
	for _, tc := range []struct {
		name string
		nr   uint32
		args []uint64
		want int
	}{
		{"read", unix.SYS_READ, nil, allow},
		{"mount", unix.SYS_MOUNT, nil, eperm},
		{"clone3", unix.SYS_CLONE3, nil, nosys},
		{"clone of a thread", unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_THREAD}, allow},
		{"clone of a user namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, eperm},
		{"personality", unix.SYS_PERSONALITY, []uint64{0}, allow},
		{"other personality", unix.SYS_PERSONALITY, []uint64{0x40000}, eperm},
		{"one that nobody knows", 5000, nil, nosys},
	} {
		if got := run(t, p, tc.nr, amd64, tc.args...); got != tc.want {
			t.Errorf("%s: %#x, want %#x", tc.name, got, tc.want)
		}
	}
	if got := run(t, p, unix.SYS_READ, unix.AUDIT_ARCH_PPC64LE); got == allow {
		t.Error("another architecture is allowed")
	}
}

func TestCache(t *testing.T) {
	dir := t.TempDir()
	first, err := NewCache(dir).Compile(docker(t))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 {
		t.Fatalf("files: %v", files)
	}
	again, err := NewCache(dir).Compile(docker(t))
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("from the cache: %v", err)
	}
	raw, _ := os.ReadFile(files[0])
	for _, damaged := range [][]byte{nil, raw[:100], append([]byte("x"), raw[1:]...)} {
		if err := os.WriteFile(files[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := NewCache(dir).Compile(docker(t))
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Errorf("from a damaged cache: %v", err)
		}
	}
	cache := NewCache(dir)
	if a, _ := cache.Compile(docker(t)); a != func() *Program { b, _ := cache.Compile(docker(t)); return b }() {
		t.Error("compiled twice")
	}
}

func TestRefused(t *testing.T) {
	cache := NewCache(t.TempDir())
	allow := specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActAllow}
	for name, p := range map[string]*specs.LinuxSeccomp{
		"action":       {DefaultAction: "SCMP_ACT_NOPE"},
		"flag":         {DefaultAction: specs.ActErrno, Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NOPE"}},
		"architecture": {DefaultAction: specs.ActErrno, Architectures: []specs.Arch{"SCMP_ARCH_NOPE"}, Syscalls: []specs.LinuxSyscall{allow}},
	} {
		if _, err := cache.Compile(p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	notify := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}}
	if _, err := cache.Compile(notify); !errors.Is(err, ErrDynamic) {
		t.Errorf("notify: %v", err)
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := compile(docker(b)); err != nil {
			b.Fatal(err)
		}
	}
}
