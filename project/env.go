package project

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// readEnv fills f.env: the env files, and over them the caller's environment.
func (f *found) readEnv(o Options, workDir string) error {
	env, err := readEnvFiles(o, workDir, f.dir)
	if err != nil {
		return err
	}
	f.env = env
	maps.Copy(f.env, o.Env)
	return nil
}

func readEnvFiles(o Options, workDir, projectDir string) (map[string]string, error) {
	env := make(map[string]string)
	for _, file := range envFiles(o, workDir, projectDir) {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the env file: %w", err)
		}
		if err := parseEnv(env, o.Env, file, content); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// envFiles are the files to read, in order. The default .env may be missing; one that was asked for may not.
func envFiles(o Options, workDir, projectDir string) []string {
	named := o.EnvFiles
	if len(named) == 0 && o.Env["COMPOSE_ENV_FILES"] != "" {
		named = strings.Split(o.Env["COMPOSE_ENV_FILES"], ",")
	}
	if len(named) > 0 {
		out := make([]string, len(named))
		for i, file := range named {
			out[i] = absolute(strings.TrimSpace(file), workDir)
		}
		return out
	}
	if off, _ := strconv.ParseBool(o.Env["COMPOSE_DISABLE_ENV_FILE"]); off {
		return nil
	}
	if file := filepath.Join(projectDir, ".env"); isFile(file) {
		return []string{file}
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// parseEnv adds the file's variables to env. A value may refer to the caller's environment and to variables before it.
func parseEnv(env, caller map[string]string, file string, content []byte) error {
	values, err := dotenv.UnmarshalBytesWithLookup(content, func(name string) (string, bool) {
		if v, ok := caller[name]; ok {
			return v, true
		}
		v, ok := env[name]
		return v, ok
	})
	if err != nil {
		return envError(file, content, err)
	}
	maps.Copy(env, values)
	return nil
}

// envError finds the line in the message of the dotenv reader.
func envError(file string, content []byte, err error) error {
	text := strings.TrimSpace(err.Error())
	line := 0
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, problem, _ := strings.Cut(rest, ":")
		if n, convErr := strconv.Atoi(number); convErr == nil {
			line, text = n, strings.TrimSpace(problem)
		}
	}
	if _, value, ok := strings.Cut(text, "unterminated quoted value "); ok {
		// the reader counts on to the end of the file
		line = 1 + bytes.Count(content[:max(0, bytes.Index(content, []byte(value)))], []byte("\n"))
	}
	if line == 0 {
		return Errors{{Position: Position{File: file}, Problem: text}}
	}
	return Errors{newSource(file, content).at(line, 1, text, "write NAME=value, one a line")}
}

var errBadName = errors.New("must consist of lower-case letters, digits, hyphens and underscores, and begin with a letter or digit")

// checkName says whether the project may be called so.
func checkName(name string) error {
	for i, r := range name {
		alphanumeric := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		if !alphanumeric && (i == 0 || r != '-' && r != '_') {
			return errBadName
		}
	}
	if name == "" {
		return errBadName
	}
	return nil
}
