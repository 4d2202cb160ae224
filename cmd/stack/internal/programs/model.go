package programs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"stackrun.dev/stack/convergence/plan"
)

// ModelRunner is the program that runs models: the docker command's plugin "model". It is "" if there is none.
func (r *Runner) ModelRunner() string { return r.plugin("model") }

// runtimeFlagsSince is the first version of the model runner that takes flags for a model's runtime.
const runtimeFlagsSince = "1.0.6"

// Serve has the model runner fetch the model, unless it is there, and configure it. It returns where it is served.
func (r *Runner) Serve(ctx context.Context, op *plan.ServeModel, say func(string)) (endpoint string, err error) {
	program := r.ModelRunner()
	if program == "" {
		return "", errors.New("cannot find the model runner: install docker's plugin docker-model")
	}
	there, err := r.hasModel(ctx, program, op.Model.Model)
	if err != nil {
		return "", err
	}
	if !there {
		if err := r.pullModel(ctx, program, op.Model.Model, say); err != nil {
			return "", err
		}
	}
	if err := r.configureModel(ctx, program, op); err != nil {
		return "", err
	}
	return r.endpoint(ctx, program)
}

func (r *Runner) hasModel(ctx context.Context, program, model string) (bool, error) {
	out, err := r.output(ctx, program, "ls", "--json")
	if err != nil {
		return false, err
	}
	var models []struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(out, &models); err != nil {
		return false, fmt.Errorf("cannot understand what models the model runner has: %w", err)
	}
	for _, m := range models {
		if slices.Contains(m.Tags, model) {
			return true, nil
		}
	}
	return false, nil
}

func (r *Runner) pullModel(ctx context.Context, program, model string, say func(string)) error {
	cmd, said := r.command(ctx, program, "pull", model)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines(stdout, say)
	if err := cmd.Wait(); err != nil {
		return said.explain(ctx, "pull of model "+model, err)
	}
	return nil
}

func (r *Runner) configureModel(ctx context.Context, program string, op *plan.ServeModel) error {
	args := []string{"configure"}
	if op.Model.ContextSize > 0 {
		args = append(args, "--context-size", strconv.Itoa(op.Model.ContextSize))
	}
	args = append(args, op.Model.Model)
	if len(op.Model.RuntimeFlags) > 0 {
		if v := r.version(ctx, program); older(v, runtimeFlagsSince) {
			return fmt.Errorf("model %s has runtime_flags, for which the model runner is too old: it is %s and must be %s", op.Model.Key, v, runtimeFlagsSince)
		}
		args = append(append(args, "--"), op.Model.RuntimeFlags...)
	}
	_, err := r.output(ctx, program, args...)
	return err
}

func (r *Runner) endpoint(ctx context.Context, program string) (string, error) {
	out, err := r.output(ctx, program, "status", "--json")
	if err != nil {
		return "", err
	}
	var status struct {
		Endpoint string `json:"endpoint"`
	}
	if err := json.Unmarshal(out, &status); err != nil || status.Endpoint == "" {
		return "", fmt.Errorf("cannot understand where the model runner serves: %q", out)
	}
	return status.Endpoint, nil
}
