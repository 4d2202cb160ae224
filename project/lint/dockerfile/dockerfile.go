// Package dockerfile checks Dockerfiles with BuildKit's own checks, without a builder and without asking any registry.
package dockerfile

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Broken is the rule of what is no Dockerfile at all.
const Broken = "dockerfile-error"

// Warning is what a check has found.
type Warning struct {
	Rule    string // the check's name, such as "StageNameCasing"
	Line    int    // from 1; 0 if it is about all of the file
	Problem string
	Why     string
	URL     string // where more is written about it
}

// Input is a Dockerfile and what it is built with.
type Input struct {
	Name   string // of the file, for messages of BuildKit's
	Text   []byte
	Args   map[string]string
	Target string // "": the last stage, and then all stages are checked
}

// Check runs the checks. It honours the directive "# check=skip=…" of the file.
func Check(ctx context.Context, in Input) ([]Warning, error) {
	source := llb.NewSourceMap(nil, in.Name, "Dockerfile", in.Text)
	source.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(ctx, in.Text, dockerfile2llb.ConvertOpt{
		Config:       dockerui.Config{BuildArgs: in.Args, Target: in.Target},
		SourceMap:    source,
		MetaResolver: anyImage{},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot check %s: %w", in.Name, err)
	}
	var out []Warning
	for _, w := range results.Warnings {
		out = append(out, Warning{Rule: w.RuleName, Line: lineOf(w.Location), Problem: w.Detail, Why: w.Description, URL: w.URL})
	}
	if e := results.Error; e != nil && ctx.Err() == nil {
		out = append(out, broken(e))
	}
	return out, ctx.Err()
}

func broken(e *lint.BuildError) Warning {
	return Warning{Rule: Broken, Line: lineOf(&e.Location), Problem: e.Message}
}

func lineOf(at *pb.Location) int {
	if at == nil || len(at.Ranges) == 0 {
		return 0
	}
	return int(at.Ranges[0].Start.Line)
}

// anyImage says of every image that it exists and is empty, so that nothing is asked of a registry.
type anyImage struct{}

// ResolveImageConfig implements sourceresolver.ImageMetaResolver.
func (anyImage) ResolveImageConfig(_ context.Context, ref string, o sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	image := ocispecs.Image{Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"}}
	if o.ImageOpt != nil && o.ImageOpt.Platform != nil {
		image.Platform = *o.ImageOpt.Platform
	}
	text, err := json.Marshal(image)
	return ref, "", text, err
}

// Rules lists the names of all checks.
func Rules() []string {
	return []string{
		Broken,
		linter.RuleStageNameCasing.Name, linter.RuleFromAsCasing.Name, linter.RuleNoEmptyContinuation.Name,
		linter.RuleConsistentInstructionCasing.Name, linter.RuleDuplicateStageName.Name, linter.RuleReservedStageName.Name,
		linter.RuleJSONArgsRecommended.Name, linter.RuleMaintainerDeprecated.Name, linter.RuleUndefinedArgInFrom.Name,
		linter.RuleWorkdirRelativePath.Name, linter.RuleUndefinedVar.Name, linter.RuleMultipleInstructionsDisallowed.Name,
		linter.RuleLegacyKeyValueFormat.Name, linter.RuleInvalidBaseImagePlatform.Name, linter.RuleRedundantTargetPlatform.Name,
		linter.RuleSecretsUsedInArgOrEnv.Name, linter.RuleInvalidDefaultArgInFrom.Name, linter.RuleFromPlatformFlagConstDisallowed.Name,
		linter.RuleCopyIgnoredFile.Name, linter.RuleInvalidDefinitionDescription.Name,
		linter.RuleExposeProtoCasing.Name, linter.RuleExposeInvalidFormat.Name,
	}
}
