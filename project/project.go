package project

import (
	"context"
	"io"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// Options says which project to load. The zero value loads the default files of the current directory with an empty
// environment.
type Options struct {
	Files       []string          // -f; "-" is Stdin. Empty: COMPOSE_FILE, or the default names
	ProjectName string            // -p. Empty: COMPOSE_PROJECT_NAME, the files' name, or the directory's name
	ProjectDir  string            // --project-directory. Empty: where the first file is
	WorkDir     string            // where relative paths of these options start and the search begins. Empty: the process's
	EnvFiles    []string          // --env-file, later ones win. Empty: COMPOSE_ENV_FILES, or .env in ProjectDir
	Profiles    []string          // --profile, "*" for all. Empty: COMPOSE_PROFILES
	Env         map[string]string // the environment, which wins over the env files
	Stdin       io.Reader         // what "-" reads
	Remotes     []Fetcher         // what answers for addresses in Files, include and extends; the first that accepts one gets it

	NoInterpolate    bool // leave variables as they are written
	NoNormalize      bool // leave out what is made of other values: default networks, implied dependencies, names
	NoPathResolution bool // leave paths relative: to the project's directory, also those of other files
	NoEnvResolution  bool // leave env_file and label_file unread, and variables without a value as they are
	NoConsistency    bool // do not check what only the whole project can tell, such as references to networks
	Strict           bool // a variable that is not set and has no default is an error, not a warning
}

// Fetcher brings files from elsewhere: a git repository, an OCI registry.
type Fetcher interface {
	// Accepts says whether the address is one of the Fetcher's. It makes no calls.
	Accepts(address string) bool
	// Fetch brings what the address names and returns the absolute path of its root and of the Compose file in it. Nothing
	// that this file includes, extends or reads may lie outside the root. Fetching an address again is cheap.
	Fetch(ctx context.Context, address string) (root, file string, err error)
}

// Project is a loaded project: the merged model, and where it came from.
type Project struct {
	*types.Project
	Files []string          // absolute paths in the order of merging; "-" for standard input
	Dir   string            // absolute; relative paths of the model started here
	Env   map[string]string // what variables were replaced from: env files and environment

	name     string
	options  Options
	profiles []string
	vars     variables.Env
	root     *tree.Value // all files merged
	sources  []*source
	paths    []string
}

// Warning is advice that does not stop anything.
type Warning struct {
	Position
	Text string `json:"problem"`
	Rule string `json:"rule,omitempty"` // the kind of advice for programs, as of an Error
}

func (w Warning) String() string {
	text := printable(clip(w.Text))
	if w.File == "" {
		return text
	}
	return printable(w.Position.String()) + ": " + text
}
