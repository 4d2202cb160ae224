package rules

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

const pageHead = `# Watch

Made from the program by ` + "`make docs`" + `. What happens when files change. "Watching" is ` + "`stack watch`, `stack up --watch`" + `, and ` + "`stack up`" + ` in the foreground after the key
` + "`w`" + `.

| written in | what is done | while |
|---|---|---|
| ` + "[`develop.watch`](https://docs.docker.com/reference/compose-file/develop/)" + ` of a service | ` + "`sync`, `sync+restart`, `sync+exec`, `restart`, `rebuild`" + ` | watching |
| [` + "`x-stack.on_change`" + `](x-stack.md#on_change) of a service | a restart, a signal or a command when files change that bind mounts show | watching, and any ` + "`up`" + ` in the foreground |
| the Dockerfile of a service and its ` + "`.dockerignore`" + ` | the image is built again and, if it is another one, the containers are replaced | watching |
| the project's own files: Compose files, ` + "`.env`" + `, env files, configs, secrets | the project is read again, and what differs is carried out | watching, and any ` + "`up`" + ` in the foreground |

## Which files count

- A rule is about what is below its ` + "`path`" + `, or about one file. Symbolic links on the way to the path are followed, as they are when
  the project is read; those below it are not. A path at which there is nothing yet is watched once something is there.
- ` + "`include` and `ignore`" + ` are patterns as in ` + "`.dockerignore`" + `, relative to the path: the last one that fits a file, or a folder above it, counts; ` + "`!`" + ` in front makes an
  exception. ` + "`./`" + ` at the beginning and ` + "`/`" + ` at either end mean nothing.
- What the ` + "`.dockerignore`" + ` of the service's build leaves out does not count for its ` + "`develop.watch`" + `. One that is named after the Dockerfile goes before that of the context.
- Every rule that a file fits is carried out.
- Folders that are left out with all that may ever be in them are not watched at all.
- What a bind mount shows at the target already is not copied: ` + "`sync`" + ` has no effect then, ` + "`sync+restart` and `sync+exec`" + ` restart and run the command. Nothing is copied
  to where a bind mount shows something else.
- A target with a slash at its end is a folder: if the path is a file, it is copied into that.

## What is said

- What was done is one line: the service, how many files and folders, which files were the reason, how long it took. Links count as files. A wait for others of more than a second is told
  while it lasts, and apart from the time.
- A change of the project's own files is one line, too: what was recreated, created, removed, or that nothing had to change. What a newer change has interrupted is one line.
- A container that begins while watching gets the files; where a file or a link differed, it is restarted, or runs the command, as the rule says.
- A container that becomes unhealthy or ends within five minutes after something was done to it is told, and when it is healthy again; with its last output, unless that is shown anyway.
- Watching ends with exit code 0 when somebody takes the project down, and with 130 after Ctrl-C.

## Differences from Docker Compose

- When watching begins, what differs at the targets is made right. ` + "`initial_sync: false`" + ` switches that off; Compose does it only where that is true.
  What was made right is a change: ` + "`sync+restart` restarts once, `sync+exec`" + ` runs the command.
- A pattern ` + "`*`" + ` fits everything, in a ` + "`.dockerignore`" + ` and in a rule; Compose drops it together with all patterns beside it that have no ` + "`!`" + `.
- A path that is bind-mounted elsewhere than at the rule's target is copied; Compose does not watch a path that is mounted anywhere in the service.
- A symbolic link is copied as a link. Compose follows one to a folder, and takes one that leads nowhere for removed.
- Of a folder that is removed here, what the container or an ignored path has in it stays. Compose removes all of it.
- A file that is saved as it was is no change.
- A rule with ` + "`rebuild`" + ` for a service without a build is a warning, and an error with file, line and column when somebody watches.

All of them, and why: [decisions](../decisions/watch.md).

## Names that never count

Changes of these are not seen, wherever they are below a rule's path.

| folder or file | why |
|---|---|
`

// The page says which names never count.
func TestNamesAreDocumented(t *testing.T) {
	const path = "../../docs/reference/watch.md"
	page := bytes.NewBufferString(pageHead)
	for _, f := range folders {
		fmt.Fprintf(page, "| `%s` | %s |\n", f.name, f.why)
	}
	page.WriteString("\n| file | who makes it, and why |\n|---|---|\n")
	for _, f := range temporary {
		fmt.Fprintf(page, "| `%s%s%s` | %s |\n", f.prefix, f.between.shown, f.suffix, f.why)
	}
	page.WriteString("\n`on_change` leaves out `__pycache__`, too: Python writes it when it has been restarted.\n")
	if *update {
		must(t, os.WriteFile(path, page.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(page.Bytes(), want) {
		t.Errorf("%s is out of date; renew it with: make docs", path)
	}
}
