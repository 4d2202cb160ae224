package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/execute"
)

// globalFlags are the flags that stand before the command; those without a short form may stand after it too.
type globalFlags struct {
	files       []string
	projectName string
	projectDir  string
	envFiles    []string
	profiles    []string
	host        string
	ansi        string
	progress    string
	parallel    int
	lockTimeout patience
	dryRun      bool

	allResources       bool
	compatibility      bool
	insecureRegistries []string
	strict             bool
	json               bool // errors and advice are printed as JSON, as the command's --format says
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, a *app) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// After the first signal the command winds up; the second one ends it at once.
	context.AfterFunc(ctx, stop)
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(ctx, cmd, err)
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:              "stack [OPTIONS] COMMAND",
		Short:            "Run Compose projects, with no daemon to install",
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true,
		Args:             cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			a.global.json, a.commandLine = formatOf(cmd) == "json", commandLine(cmd)
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.DisableFlagsInUseLine = true
	cobra.EnableCommandSorting = false
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	a.declareGlobal(root)
	for _, add := range commands {
		cmd := add(a)
		markUsage(cmd)
		root.AddCommand(cmd)
	}
	return root
}

// commands is every command there is, in the order of the help.
var commands = []func(*app) *cobra.Command{
	newUp, newWatch, newDown, newRollback, newPs, newLogs, newExec, newRun, newBuild, newPlan, newConfig, newConvert, newLint,
	newStart, newStop, newRestart, newScale, newCreate, newRm, newKill, newPause, newUnpause, newWait,
	newPull, newPush, newImages, newVolumes, newLs, newTop, newStats, newPort, newCp, newAttach, newEvents,
	newPublish, newImage, newEngine, newVersion, newAlpha, newGuard,
}

func (a *app) declareGlobal(root *cobra.Command) {
	g := &a.global
	own := root.Flags()
	own.StringArrayVarP(&g.files, "file", "f", nil, "Compose file; repeat to merge several, - for standard input")
	own.StringVarP(&g.projectName, "project-name", "p", "", "Name of the project")
	own.StringVar(&g.projectDir, "project-directory", "", "Where relative paths start (default: where the first file is)")
	own.StringArrayVar(&g.envFiles, "env-file", nil, "File with variables, instead of .env")
	own.StringArrayVar(&g.profiles, "profile", nil, "Profile to switch on; * for all")
	own.BoolVar(&g.allResources, "all-resources", false, "Also networks, volumes and the like that no service uses")
	own.BoolVar(&g.compatibility, "compatibility", a.presetBool("COMPOSE_COMPATIBILITY"), "Underscores in the names of containers and images, as in Compose 1")
	own.StringArrayVar(&g.insecureRegistries, "insecure-registry", nil, "Registry that is spoken to without TLS, for projects from oci:// addresses")
	_ = own.MarkHidden("insecure-registry")
	all := root.PersistentFlags()
	all.StringVar(&g.host, "host", "", "Engine to use, such as unix:///run/docker.sock (default: $STACK_HOST, $DOCKER_HOST, the embedded one)")
	all.StringVar(&g.ansi, "ansi", a.preset("COMPOSE_ANSI", "auto"), "Colours and cursor movements: auto, never, always")
	all.StringVar(&g.progress, "progress", a.preset("COMPOSE_PROGRESS", "auto"), "How progress is shown: auto, tty, plain, quiet, json")
	all.IntVar(&g.parallel, "parallel", a.presetParallel(), "How many operations run at the same time, waiting not counted; -1 for no limit")
	all.Var(&g.lockTimeout, "lock-timeout", "How long to wait for another run on the same project; 0 not at all (default: until it is done)")
	all.BoolVar(&g.strict, "strict", a.presetBool("STACK_STRICT"), "Take a variable that is not set as an error, not as nothing")
	all.BoolVar(&g.dryRun, "dry-run", false, "Show what would be done and change nothing")
}

// preset is a flag's default: what the environment says, if it says something.
func (a *app) preset(name, otherwise string) string {
	return cmp.Or(a.getenv(name), otherwise)
}

// presetBool is a switch's default from the environment.
func (a *app) presetBool(name string) bool {
	on, _ := strconv.ParseBool(a.getenv(name))
	return on
}

func (a *app) presetParallel() int {
	n, err := strconv.Atoi(a.getenv("COMPOSE_PARALLEL_LIMIT"))
	if err != nil || n == 0 {
		return execute.DefaultLimit
	}
	return n
}

// parallel is how many operations may run at the same time; negative for no limit.
func (a *app) parallel() int {
	if a.global.parallel == 0 {
		return execute.DefaultLimit
	}
	return a.global.parallel
}

// separator is what stands between the parts of names of containers and images.
func (a *app) separator() string {
	if a.global.compatibility {
		return "_"
	}
	return "-"
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// markUsage makes wrong numbers of arguments usage errors, in cmd and what is below it, and gives groups of commands
// an answer of their own.
func markUsage(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return errors.Join(cmd.Help(), exitCode(exitUsage))
		}
	}
	for _, sub := range cmd.Commands() {
		markUsage(sub)
	}
}
