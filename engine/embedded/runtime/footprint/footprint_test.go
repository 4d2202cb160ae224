package footprint

import (
	"hash/crc32"
	"os"
	"slices"
	"testing"
	"unsafe"
)

const smaps = `00400000-01e00000 r-xp 00000000 fe:00 123                                /opt/my program
Size:              27000 kB
Anonymous:             0 kB
01e00000-02e00000 r--p 01a00000 fe:00 123                                /opt/my program
Anonymous:             0 kB
02e00000-02e10000 r--p 02a00000 fe:00 123                                /opt/my program
Anonymous:             4 kB
02e10000-02e20000 rw-p 02a10000 fe:00 123                                /opt/my program
Anonymous:             0 kB
02e20000-02e30000 rw-p 00000000 00:00 0
Anonymous:            64 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 124                        /lib/libc.so.6
Anonymous:             0 kB
`

func TestOnlyWhatTheFileHasIsForgotten(t *testing.T) {
	want := []addresses{{0x400000, 0x1e00000}, {0x1e00000, 0x2e00000}}
	if got := unchanged([]byte(smaps), "/opt/my program"); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestForgetProgram(t *testing.T) {
	ranges, err := programRanges()
	if err != nil || len(ranges) == 0 {
		t.Fatalf("%v, %v", ranges, err)
	}
	sum := touch(t, ranges)
	before := resident(t, ranges)
	if err := ForgetProgram(); err != nil {
		t.Fatal(err)
	}
	// What runs comes back at once, with its neighbours.
	if after := resident(t, ranges); after > before/4*3 {
		t.Errorf("%d bytes of the program are in memory, before %d", after, before)
	}
	if again := touch(t, ranges); again != sum {
		t.Error("the program's pages came back with another content")
	}
}

// touch reads everything, and sums it up.
func touch(t *testing.T, ranges []addresses) (sum uint32) {
	t.Helper()
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	for _, r := range ranges {
		content := make([]byte, r.end-r.start)
		if _, err := memory.ReadAt(content, int64(r.start)); err != nil {
			t.Fatal(err)
		}
		sum ^= crc32.ChecksumIEEE(content)
	}
	return sum
}

// resident tells how many bytes of the ranges are in the process's memory.
func resident(t *testing.T, ranges []addresses) (n uintptr) {
	t.Helper()
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Fatal(err)
	}
	defer pagemap.Close()
	const present = 1 << 63 // proc_pid_pagemap(5)
	page := uintptr(os.Getpagesize())
	for _, r := range ranges {
		entries := make([]uint64, (r.end-r.start)/page)
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&entries[0])), 8*len(entries))
		if _, err := pagemap.ReadAt(raw, int64(r.start/page*8)); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e&present != 0 {
				n += page
			}
		}
	}
	return n
}
