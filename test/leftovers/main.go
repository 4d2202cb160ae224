// Command leftovers counts what tests may leave behind on a machine: processes, mounts, network namespaces, links, addresses, routes,
// nftables tables, cgroups and folders of ours. "record FILE" writes down what is there, "compare FILE" names what has come since and fails if there
// is anything.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"time"
)

// settle is how long the kernel may take to let go of what was given back: a network namespace is dismantled after its last user has gone.
const settle = 5 * time.Second

func main() {
	if len(os.Args) != 3 {
		fail("usage: leftovers record|compare FILE")
	}
	var err error
	switch os.Args[1] {
	case "record":
		err = record(os.Args[2])
	case "compare":
		err = compare(os.Args[2])
	default:
		fail("usage: leftovers record|compare FILE")
	}
	if err != nil {
		fail(err.Error())
	}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}

func record(file string) error {
	now, err := observe()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(now, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// compare looks again until nothing is left or the machine has had its time to settle.
func compare(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var before census
	if err := json.Unmarshal(data, &before); err != nil {
		return fmt.Errorf("cannot read %s: %w", file, err)
	}
	var left []string
	for deadline := time.Now().Add(settle); ; time.Sleep(100 * time.Millisecond) {
		now, err := observe()
		if err != nil {
			return err
		}
		left = now.since(before)
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, l := range left {
		fmt.Println("left behind:", l)
	}
	fmt.Printf("%d left behind on the machine\n", len(left))
	if len(left) > 0 {
		os.Exit(1)
	}
	return nil
}

// census maps each kind of thing to the names of those that are there.
type census map[string][]string

func observe() (census, error) {
	out := census{}
	for kind, look := range looks {
		names, err := look()
		if err != nil {
			return nil, fmt.Errorf("cannot count %s: %w", kind, err)
		}
		sort.Strings(names)
		out[kind] = slices.Compact(names)
	}
	return out, nil
}

// since names what is in c and was not in before.
func (c census) since(before census) []string {
	var out []string
	for kind, names := range c {
		for _, name := range names {
			if _, was := slices.BinarySearch(before[kind], name); !was {
				out = append(out, kind+" "+name)
			}
		}
	}
	sort.Strings(out)
	return out
}
