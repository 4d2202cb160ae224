package project

import (
	"maps"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
)

func TestEnvFileReadsAsItself(t *testing.T) {
	env := map[string]string{
		"PLAIN": "v", "EMPTY": "", "NUMBER": "8080", "OCTAL": "007", "PLUS": "+1", "SPACES": "  a b  ", "HASH": "a # b",
		"DOLLAR": "pa$word ${X} $$", "BACK": `a\b\\n`, "QUOTES": `"a" 'b'`, "BANG": "hi! `x`", "LINES": "a\nb\r\n\tc\n",
		"UTF": "é😀", "a.b": "odd name", "EQUALS": "a=b:c", "QUOTE": "'", "LONG": strings.Repeat("x", 1000),
	}
	p := &Project{Env: maps.Clone(env)}
	p.Env["BASH_FUNC_f%%"] = "() { :; }"
	text := p.EnvFile()
	if tail := (&Project{Env: map[string]string{"TAIL": `a\`}}).EnvFile(); !readsAs(tail, "TAIL", `a\`) { // not so by godotenv
		t.Errorf("a value that ends in a backslash: %s", tail)
	}
	for reader, read := range map[string]func(string) (map[string]string, error){
		"godotenv":       godotenv.Unmarshal,
		"docker compose": func(s string) (map[string]string, error) { return dotenv.Parse(strings.NewReader(s)) },
	} {
		got, err := read(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", reader, err, text)
		}
		for name, want := range env {
			if got[name] != want {
				t.Errorf("%s reads %s as %q, want %q", reader, name, got[name], want)
			}
		}
		if len(got) != len(env) {
			t.Errorf("%s reads %d variables, there are %d", reader, len(got), len(env))
		}
	}
	if !strings.HasPrefix(text, "BACK=") || !strings.Contains(text, "\nNUMBER=8080\nOCTAL=\"007\"\nPLAIN=\"v\"\n") {
		t.Errorf("the text is\n%s", text)
	}
}
