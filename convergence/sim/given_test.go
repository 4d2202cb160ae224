package sim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// programs are a provider and a model runner. They write their calls among the engine's.
func (f *fake) programs() execute.Options {
	return execute.Options{
		Provide: func(ctx context.Context, op *plan.RunProvider, say func(string)) (desired.Variables, error) {
			if err := f.write(ctx, "%s %s of %s", op.Do, op.Service, op.Project); err != nil {
				return desired.Variables{}, err
			}
			defer f.mu.Unlock()
			return desired.Variables{Prefixed: map[string]string{"URL": f.told}, Raw: map[string]string{"TOKEN": f.told}}, nil
		},
		Serve: func(ctx context.Context, op *plan.ServeModel, say func(string)) (string, error) {
			if err := f.write(ctx, "serve %s", op.Model.Model); err != nil {
				return "", err
			}
			defer f.mu.Unlock()
			return f.told, nil
		},
	}
}

const withProvider = `
services:
  database:
    provider: {type: cloud}
  web:
    image: web
    environment: {TOKEN: own}
    depends_on: [database]
    pre_start: [{command: migrate}]
  other:
    image: other
  talk:
    image: talk
    models: [big-llm]
models:
  big-llm: {model: ai/big}
`

func (f *fake) envOf(t *testing.T, name string) []string {
	t.Helper()
	r, err := f.find(name)
	if err != nil {
		t.Fatal(err)
	}
	return r.cfg.Config.Env
}

func TestDependantsGetWhatAProviderGives(t *testing.T) {
	f, d := newFake(), want(t, withProvider)
	f.told = "first"
	up(t, f, d, plan.UpOptions{})
	if env := f.envOf(t, "x-web-1"); !slices.Equal(env, []string{"DATABASE_URL=first", "TOKEN=first"}) {
		t.Errorf("web: %q", env)
	}
	if env := f.envOf(t, "x-talk-1"); !slices.Equal(env, []string{"BIG_LLM_MODEL=ai/big", "BIG_LLM_URL=first"}) {
		t.Errorf("talk: %q", env)
	}
	if env := f.envOf(t, "x-other-1"); len(env) > 0 {
		t.Errorf("other: %q", env)
	}
	before := len(f.calls)
	up(t, f, d, plan.UpOptions{})
	if calls := f.calls[before:]; len(calls) != 2 || !slices.Contains(calls, "up database of x") || !slices.Contains(calls, "serve ai/big") {
		t.Errorf("the second run did %q", calls)
	}
	web, _ := f.find("x-web-1")
	other, _ := f.find("x-other-1")
	f.told = "second"
	up(t, f, d, plan.UpOptions{})
	if now, _ := f.find("x-web-1"); now == web || !slices.Contains(f.envOf(t, "x-web-1"), "DATABASE_URL=second") {
		t.Error("web still has the old address")
	}
	if now, _ := f.find("x-other-1"); now != other {
		t.Error("other was replaced, which depends on no provider")
	}
}

// What a provider fails to bring up is not depended on; the rest is finished, and what ran goes on running.
func TestAFailedProviderLeavesItsDependantsAlone(t *testing.T) {
	for _, there := range []bool{false, true} {
		f, d := newFake(), want(t, withProvider)
		if there {
			up(t, f, d, plan.UpOptions{})
		}
		f.before = func(call string) error {
			if strings.HasPrefix(call, "up database") {
				return errInjected
			}
			return nil
		}
		_, err := convergence.Run(t.Context(), f, d, convergence.Options{Execute: f.programs()}, nil)
		if !errors.Is(err, errInjected) || f.statusOf("x-other-1") != "running" || (f.statusOf("x-web-1") == "running") != there {
			t.Errorf("web %s, other %s, error %v", f.statusOf("x-web-1"), f.statusOf("x-other-1"), err)
		}
	}
}

func TestDownEndsWithTheProvider(t *testing.T) {
	f, d := newFake(), want(t, withProvider)
	up(t, f, d, plan.UpOptions{})
	before := len(f.calls)
	if _, err := convergence.Down(t.Context(), f, "x", d, plan.DownOptions{}, convergence.Options{Execute: f.programs()}, nil); err != nil {
		t.Fatal(err)
	}
	calls := f.calls[before:]
	if at := slices.Index(calls, "down database of x"); at < 0 || at < slices.Index(calls, "remove x-web-1") {
		t.Errorf("calls: %q", calls)
	}
}

// Who hands in no way to run programs is told so.
func TestProgramsMustBeHandedIn(t *testing.T) {
	f, d := newFake(), want(t, withProvider)
	_, err := convergence.Run(t.Context(), f, d, convergence.Options{}, nil)
	if err == nil || !strings.Contains(err.Error(), "cannot run the provider of service database") || !strings.Contains(err.Error(), "cannot serve model big-llm") {
		t.Errorf("error: %v", err)
	}
}
