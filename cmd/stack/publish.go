package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/project"
	"stackrun.dev/stack/project/remote"
)

type publishOptions struct {
	pin, env, app, yes, insecure bool

	version string
}

const publishLong = `The Compose files go to the registry as they are written, with their variables, as an artifact that "stack -f oci://NAME up" and
"docker compose -f oci://NAME up" take, and other projects can include. Images that the project builds are pushed
first. What others would learn of this machine is shown, and has to be agreed to.`

func newPublish(a *app) *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish [OPTIONS] REPOSITORY[:TAG]",
		Short: "Send the project's files to a registry, for others to run",
		Long:  publishLong,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPublish(cmd.Context(), a, o, strings.TrimPrefix(args[0], "oci://"))
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.pin, "resolve-image-digests", false, "Fix the images to the digests that their registries have now")
	f.BoolVar(&o.env, "with-env", false, "Also the services' env files")
	f.BoolVar(&o.app, "app", false, "Also the images, with their digests fixed")
	f.StringVar(&o.version, "oci-version", "", "1.0 or 1.1 of the OCI specification (default: 1.1, or 1.0 where the registry does not take that)")
	f.BoolVarP(&o.yes, "yes", "y", false, "Do not ask")
	f.BoolVar(&o.insecure, "insecure-registry", false, "Speak to the registry without TLS")
	_ = f.MarkHidden("insecure-registry")
	return cmd
}

func runPublish(ctx context.Context, a *app, o publishOptions, name string) error {
	if o.version != remote.VersionAny && o.version != remote.Version1_0 && o.version != remote.Version1_1 {
		return usagef("value %q of --oci-version is not one of 1.0, 1.1", o.version)
	}
	if err := checkDestination(name); err != nil {
		return err
	}
	if o.insecure {
		host, _, _ := strings.Cut(name, "/")
		a.global.insecureRegistries = append(a.global.insecureRegistries, host)
	}
	options := a.projectOptions()
	options.Profiles = []string{"*"} // what is published has all of them
	p, err := a.loadAs(ctx, options)
	if err != nil {
		return err
	}
	if err := needImages(p); err != nil {
		return err
	}
	files, err := p.Bundle(o.env)
	if err != nil {
		return err
	}
	if err := a.agree(ctx, p, o); err != nil {
		return err
	}
	if a.global.dryRun {
		return a.showPublication(name, files)
	}
	if err := a.pushBuilt(ctx, p); err != nil {
		return err
	}
	return a.publish(ctx, p, o, name, files)
}

// checkDestination finds out before images are pushed that nothing can be published under the name.
func checkDestination(name string) error {
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return usagef("cannot publish to %s: %w", name, err)
	}
	if _, pinned := named.(reference.Digested); pinned {
		return usagef("cannot publish to %s: a digest is the outcome, not a name to publish under", name)
	}
	return nil
}

// needImages reports services that others could only build, from files that are not published.
func needImages(p *project.Project) error {
	var errs project.Errors
	for _, name := range p.ServiceNames() {
		if s := p.Services[name]; s.Image == "" && s.Build != nil {
			errs = append(errs, p.Mistake("service "+name+" is only built, from files that are not published", "give it the name of an image too, which is then pushed: image: registry/name", "services", name, "build"))
		}
	}
	return errs.Sorted()
}

// agree shows what is made public, and asks.
func (a *app) agree(ctx context.Context, p *project.Project, o publishOptions) error {
	disclosures := p.Disclosures(o.env)
	if len(disclosures) == 0 || o.yes || a.global.dryRun {
		return a.warn(disclosures)
	}
	if err := a.warn(disclosures); err != nil {
		return err
	}
	ok, err := a.confirm(ctx, "Publish it? [yN] ")
	if err == nil && !ok {
		err = errors.New("nothing was published; --yes publishes without asking")
	}
	return err
}

func (a *app) showPublication(name string, files []project.BundleFile) error {
	table := view.Table{Header: []string{"FILE", "KIND", "BYTES"}}
	for _, f := range files {
		table.Rows = append(table.Rows, []string{f.Name, string(f.Kind), fmt.Sprint(len(f.Content))})
	}
	if _, err := fmt.Fprintf(a.out, "would publish %s:\n", name); err != nil {
		return err
	}
	return table.Write(a.out)
}

// pushBuilt sends the images that the project builds. One that was not built here may be there already.
func (a *app) pushBuilt(ctx context.Context, p *project.Project) error {
	d, err := a.desire(p, nil)
	if err != nil {
		return err
	}
	var refs []string
	for _, s := range imagesToFetch(d, func(s desired.Service) bool { return s.Build != nil }) {
		refs = append(refs, s.Image)
	}
	if len(refs) == 0 {
		return nil
	}
	return a.with(ctx, func(s *session) error { return s.pushAll(ctx, refs, pushOptions{ignoreFailures: true}) })
}

// bundleKinds are the kinds of files in the registry's terms.
var bundleKinds = map[project.BundleKind]remote.Kind{
	project.BundleMain: remote.Main, project.BundleExtended: remote.Extended, project.BundleEnv: remote.Env,
}

func (a *app) publish(ctx context.Context, p *project.Project, o publishOptions, name string, files []project.BundleFile) error {
	publication := remote.Publication{Version: o.version, Program: version, Created: a.now()}
	for _, f := range files {
		publication.Files = append(publication.Files, remote.File{Name: f.Name, Kind: bundleKinds[f.Kind], Content: f.Content})
	}
	if o.pin || o.app {
		pinned, err := a.pin(ctx, p)
		if err != nil {
			return err
		}
		text, err := imagesOnly(pinned).MarshalYAML()
		if err != nil {
			return fmt.Errorf("cannot print the images: %w", err)
		}
		digests := remote.File{Name: "image-digests.yaml", Kind: remote.Main, Content: text}
		publication.Files = slices.Insert(publication.Files, lastMain(publication.Files), digests)
		if o.app {
			publication.Images = imageNames(pinned, a.separator())
		}
	}
	digest, err := remote.NewOCI(a.ociOptions("")).Publish(ctx, name, publication)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "published oci://%s@%s\n", name, digest)
	return err
}

// lastMain is where one more file can stand that is merged over the others.
func lastMain(files []remote.File) int {
	n := 0
	for i, f := range files {
		if f.Kind == remote.Main {
			n = i + 1
		}
	}
	return n
}
