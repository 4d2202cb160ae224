package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute/buildcontext"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/record"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

// checkPlanFile refuses what a plan cannot be written to: there are secrets in it.
func checkPlanFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case path == "-":
		return usagef("a plan holds secrets and is not printed: name a file with --out")
	case err == nil && !info.Mode().IsRegular():
		return usagef("a plan holds secrets: --out %s is not a regular file", path)
	}
	return nil
}

// checkOutside refuses a file that would become part of an image of the project.
func checkOutside(path string, d *desired.Project) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	for i := range d.Services {
		b := d.Services[i].Build
		if b == nil {
			continue
		}
		switch sends, err := buildcontext.Sends(b, path); {
		case err != nil:
			return err
		case sends:
			return usagef("a plan holds secrets, and %s is in what %s is built from (%s): name a file elsewhere with --out, or one that .dockerignore leaves out", path, d.Services[i].Name, b.Context)
		}
	}
	return nil
}

// keepPlan writes the plan to a file that only its owner may read, with everything that carrying it out takes.
func (s *session) keepPlan(ctx context.Context, path string, d *desired.Project, o plan.UpOptions, p *plan.Plan) error {
	id, err := s.engineID(ctx)
	if err != nil {
		return err
	}
	contexts, err := contextsOf(d, p)
	if err != nil {
		return err
	}
	r := s.describe(record.Of(convergence.Outcome{Desired: d, Up: o}))
	r.Engine = id
	r.Plan = &record.Plan{Fixed: convergence.Fixed{Plan: p.Canonical(), Later: p.Later}, Contexts: contexts}
	text, err := record.Encode(r)
	if err == nil {
		err = writePrivate(path, text)
	}
	if err != nil {
		return fmt.Errorf("cannot keep the plan in %s: %w", path, reason(err))
	}
	fmt.Fprintf(s.err, "the plan is in %s, with all secrets of the project; stack up --plan carries it out\n", path)
	return nil
}

// writePrivate replaces the file as a whole by one that only its owner may read.
func writePrivate(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// reason is why the system refuses something, without the name of a file that nobody has heard of.
func reason(err error) error {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	return err
}

// contextsOf are digests of what the plan, or what follows it, builds from, by service.
func contextsOf(d *desired.Project, p *plan.Plan) (map[string]string, error) {
	built := slices.Clone(p.Later)
	for _, op := range p.Operations {
		if build, ok := op.(*plan.BuildImage); ok {
			built = append(built, build.Service)
		}
	}
	out := make(map[string]string)
	for _, name := range built {
		s := d.Service(name)
		if s == nil || s.Build == nil || out[name] != "" {
			continue
		}
		digest, err := buildcontext.Digest(s.Build)
		if err != nil {
			return nil, err
		}
		out[name] = digest
	}
	return out, nil
}

// checkContexts says whose image would be built from other files than when the plan was made.
func checkContexts(r *record.Record) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.Plan.Contexts)) {
		s := r.Desired.Service(name)
		if s == nil || s.Build == nil {
			continue
		}
		digest, err := buildcontext.Digest(s.Build)
		if err == nil && digest != r.Plan.Contexts[name] {
			err = engine.Errorf(engine.ErrConflict, "the plan was not carried out: files have changed that %s is built from (%s)", name, s.Build.Context)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// withPlan are the flags of up that go with --plan, beside the global ones: they do not change what is done.
var withPlan = []string{"plan", "detach", "quiet-pull", "quiet-build", "yes"}

// checkWithPlan refuses services and flags that would make it another plan.
func checkWithPlan(cmd *cobra.Command, services []string) (err error) {
	if len(services) > 0 {
		return usagef("--plan carries a plan out as it is: no services can be named")
	}
	global := cmd.InheritedFlags()
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(withPlan, f.Name) && global.Lookup(f.Name) == nil {
			err = usagef("--plan carries a plan out as it is: --%s cannot go with it", f.Name)
		}
	})
	return err
}

// nameHere is the name of the project that would be meant without a plan; "" if there is none, or none that can be read.
func (a *app) nameHere(ctx context.Context) string {
	if name := cmp.Or(a.global.projectName, a.getenv("COMPOSE_PROJECT_NAME")); name != "" {
		return name
	}
	p, _, err := project.Load(ctx, a.projectOptions())
	if err != nil {
		return ""
	}
	return p.Name
}

// readPlan reads a kept plan.
func readPlan(path string) (*record.Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the plan: %w", err)
	}
	r, err := record.Decode(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot carry out the plan %s: %w", path, err)
	case r.Plan == nil:
		return nil, fmt.Errorf("cannot carry out %s: it is the state of a project, not a plan", path)
	case r.Program != version:
		return nil, fmt.Errorf("cannot carry out the plan %s: stack %s made it, and this is stack %s; plan again", path, r.Program, version)
	}
	return r, nil
}

// runUpPlan carries out a kept plan: exactly it, or nothing. The project's files are not read.
func runUpPlan(ctx context.Context, a *app, o *upOptions) error {
	r, err := readPlan(o.planFile)
	if err != nil {
		return err
	}
	if name := a.nameHere(ctx); name != "" && name != r.Desired.Name {
		return fmt.Errorf("cannot carry out the plan %s: it is of project %s, and this is project %s", o.planFile, r.Desired.Name, name)
	}
	a.recall(r)
	return a.with(ctx, func(s *session) error {
		id, err := s.engineID(ctx)
		if err != nil {
			return err
		}
		if id != r.Engine {
			return fmt.Errorf("cannot carry out the plan %s: it is for the engine %s, and %s is the engine %s", o.planFile, r.Engine, s.target.Host, id)
		}
		if s.global.dryRun {
			p, err := s.stillDue(ctx, r)
			if err == nil {
				_, err = fmt.Fprint(s.out, p.Text())
			}
			return err
		}
		return s.alone(ctx, "up", r.Desired.Name, func(progress view.Progress) error {
			if _, err := s.stillDue(ctx, r); err != nil {
				return err // before anybody is told that the project is brought up
			}
			return s.bring(ctx, upRun{title: "up", desired: r.Desired, options: r.Up, flags: o.upFlags, held: progress, adjust: func(o *convergence.Options) {
				o.Fixed = &r.Plan.Fixed
			}})
		})
	})
}

// stillDue plans anew. If that is not the kept plan, or images would be built from other files, the error says how they differ.
func (s *session) stillDue(ctx context.Context, r *record.Record) (*plan.Plan, error) {
	p, err := convergence.Plan(ctx, s.Engine, r.Desired, r.Up)
	if err == nil {
		err = r.Plan.Check(p)
	}
	if err == nil {
		err = checkContexts(r)
	}
	return p, err
}
