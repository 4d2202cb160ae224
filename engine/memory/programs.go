package memory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// standardPrograms are the commands of Busybox that test images run.
func standardPrograms() map[string]Program {
	return map[string]Program{
		"true":     func(*Process) int { return 0 },
		"false":    func(*Process) int { return 1 },
		"sh":       runShell,
		"echo":     runEcho,
		"printf":   runPrintf,
		"cat":      runCat,
		"seq":      runSeq,
		"sleep":    runSleep,
		"pwd":      func(p *Process) int { return p.print(p.Dir) },
		"id":       func(p *Process) int { return p.print(strconv.Itoa(p.UID)) },
		"hostname": func(p *Process) int { return p.print(p.host) },
		"env":      runEnv,
		"ls":       runLs,
		"mkdir":    eachFile(func(p *Process, name string) error { return p.files.mkdirAll(name) }),
		"touch":    eachFile(touch),
		"rm":       eachFile(func(p *Process, name string) error { return p.files.remove(name) }),
		"ln":       runLn,
		"test":     runTest,
		"stty":     runStty,
		"timeout":  func(p *Process) int { return p.call(p.Args[2:]) },
		"httpd":    runHTTPD,
		"wget":     runWget,
		"nslookup": runNslookup,
	}
}

// print prints a line and returns 0.
func (p *Process) print(line string) int {
	fmt.Fprintln(p.Stdout, line)
	return 0
}

func runEcho(p *Process) int {
	args, end := p.Args[1:], "\n"
	if len(args) > 0 && args[0] == "-n" {
		args, end = args[1:], ""
	}
	_, _ = io.WriteString(p.Stdout, strings.Join(args, " ")+end)
	return 0
}

func runPrintf(p *Process) int {
	if len(p.Args) < 2 {
		return 1
	}
	text := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(p.Args[1])
	for _, arg := range p.Args[2:] {
		text = strings.Replace(text, "%s", arg, 1)
	}
	_, _ = io.WriteString(p.Stdout, text)
	return 0
}

func runCat(p *Process) int {
	if len(p.Args) == 1 {
		if _, err := io.Copy(p.Stdout, p.Stdin); err != nil {
			return p.failed(err)
		}
		return 0
	}
	code := 0
	for _, name := range p.Args[1:] {
		n, _, err := p.files.stat(p.path(name))
		if err == nil && n.mode.IsDir() {
			err = &fs.PathError{Path: name, Err: errors.New("is a directory")}
		}
		if err == nil {
			_, err = p.Stdout.Write(n.data)
		}
		if err != nil {
			code = p.failed(err)
		}
	}
	return code
}

func runSeq(p *Process) int {
	bounds := []int{1}
	for _, arg := range p.Args[1:] {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return p.failed(err)
		}
		bounds = append(bounds, n)
	}
	last := bounds[len(bounds)-1]
	for n := bounds[len(bounds)-2]; n <= last; n++ {
		p.print(strconv.Itoa(n))
	}
	return 0
}

func runSleep(p *Process) int {
	if len(p.Args) != 2 {
		return 1
	}
	seconds, err := strconv.ParseFloat(p.Args[1], 64)
	if err != nil {
		return p.failed(err)
	}
	p.Sleep(time.Duration(seconds * float64(time.Second)))
	return 0
}

func runEnv(p *Process) int {
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		p.print(name + "=" + p.Env[name])
	}
	return 0
}

func runLs(p *Process) int {
	dir := p.Dir
	if len(p.Args) > 1 {
		dir = p.path(p.Args[1])
	}
	names, err := p.files.children(dir)
	if err != nil {
		return p.failed(err)
	}
	for _, name := range names {
		p.print(name)
	}
	return 0
}

// eachFile makes a program that does something to each of its arguments but options.
func eachFile(do func(p *Process, name string) error) Program {
	return func(p *Process) int {
		code := 0
		for _, arg := range p.Args[1:] {
			if strings.HasPrefix(arg, "-") {
				continue
			}
			if err := do(p, p.path(arg)); err != nil {
				code = p.failed(err)
			}
		}
		return code
	}
}

func touch(p *Process, name string) error {
	n, _, err := p.files.stat(name)
	if err != nil {
		n = node{mode: 0o644, uid: p.UID, gid: p.UID}
	}
	n.modified = time.Now()
	return p.files.put(name, n)
}

// runLn makes symbolic links only.
func runLn(p *Process) int {
	if len(p.Args) != 4 || p.Args[1] != "-s" {
		return p.failed(errors.New("only ln -s TARGET NAME"))
	}
	if err := p.files.put(p.path(p.Args[3]), node{mode: fs.ModeSymlink | 0o777, link: p.Args[2]}); err != nil {
		return p.failed(err)
	}
	return 0
}

// runTest knows -f, -e, -d FILE and -t STREAM.
func runTest(p *Process) int {
	if len(p.Args) != 3 {
		return 2
	}
	if p.Args[1] == "-t" {
		return asCode(p.screen != nil)
	}
	n, _, err := p.files.stat(p.path(p.Args[2]))
	switch {
	case err != nil:
		return 1
	case p.Args[1] == "-f":
		return asCode(n.mode.IsRegular())
	case p.Args[1] == "-d":
		return asCode(n.mode.IsDir())
	}
	return 0
}

func asCode(ok bool) int {
	if ok {
		return 0
	}
	return 1
}

// runStty prints the size of the terminal that is its input.
func runStty(p *Process) int {
	screen := p.screen
	if c, ok := p.Stdin.(console); ok {
		screen = c.terminal
	}
	if screen == nil {
		return p.failed(errors.New("standard input: not a tty"))
	}
	height, width := screen.size()
	return p.print(fmt.Sprintf("%d %d", height, width))
}

// base is the last part of a path.
func base(name string) string { return path.Base(path.Clean("/" + name)) }
