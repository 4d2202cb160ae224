package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

func newImage(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image COMMAND",
		Short: "List, fetch, load, tag and remove the engine's images",
	}
	cmd.AddCommand(newImageLs(a), newImageLoad(a), newImageSave(a), newImageImport(a), newImagePull(a), newImagePush(a),
		newImageTag(a), newImageInspect(a), newImageRm(a))
	return cmd
}

func newImageLoad(a *app) *cobra.Command {
	var input string
	cmd := &cobra.Command{
		Use:   "load [OPTIONS] [FILE]",
		Short: "Store the images of an archive that docker save or an OCI tool wrote",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				input = args[0]
			}
			return a.with(cmd.Context(), func(s *session) error {
				return withInput(a, input, func(r io.Reader) error {
					progress, err := a.progress("load")
					if err != nil {
						return err
					}
					defer progress.Close()
					refs, err := s.ImageLoad(cmd.Context(), r, transfer(progress, view.Event{ID: "Image", Status: "Loading"}))
					for _, ref := range refs {
						progress.Event(view.Event{ID: "Image " + ref, Status: "Loaded", State: view.Done})
					}
					return err
				})
			})
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "-", "The archive; - for standard input")
	return cmd
}

// withInput hands the named file to do, or standard input for "-".
func withInput(a *app, name string, do func(io.Reader) error) (err error) {
	if name == "" || name == "-" {
		if view.IsTerminal(a.in) {
			return usagef("the archive is to come from standard input, which is a terminal: name a file")
		}
		return do(a.in)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return do(struct{ io.Reader }{f}) // whoever sends it must not close it
}

func newImageSave(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "save [OPTIONS] IMAGE...",
		Short: "Write images to an archive that docker load reads",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "-" && view.IsTerminal(a.out) {
				return usagef("the archive is to go to standard output, which is a terminal: use -o FILE")
			}
			return a.with(cmd.Context(), func(s *session) (err error) {
				archive, err := s.ImageSave(cmd.Context(), args)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, archive.Close()) }()
				return writeOutput(a, output, archive)
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "The file to write; - for standard output")
	return cmd
}

// writeOutput copies to the named file, or to standard output for "-". A file that could not be written in full is
// removed.
func writeOutput(a *app, name string, content io.Reader) error {
	if name == "-" {
		_, err := io.Copy(a.out, content)
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("cannot write %s: %w", name, err), os.Remove(name))
	}
	return nil
}

func newImageImport(a *app) *cobra.Command {
	var changes []string
	var message, platform string
	cmd := &cobra.Command{
		Use:   "import [OPTIONS] FILE NAME",
		Short: "Make an image of a root file system, a tar (plain or compressed)",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) == 2 {
				name = args[1]
			}
			opts := image.ImportOptions{Message: message, Changes: changes, Platform: platform}
			return a.with(cmd.Context(), func(s *session) error {
				return withInput(a, args[0], func(r io.Reader) error {
					id, err := s.ImageImport(cmd.Context(), r, name, opts)
					if err != nil {
						return fmt.Errorf("cannot import %s: %w", args[0], err)
					}
					fmt.Fprintln(a.out, id)
					return nil
				})
			})
		},
	}
	cmd.Flags().StringArrayVarP(&changes, "change", "c", nil, "Dockerfile instruction to apply, such as CMD [\"sh\"]")
	cmd.Flags().StringVarP(&message, "message", "m", "", "What the image's history says")
	cmd.Flags().StringVar(&platform, "platform", "", "Platform of the image, such as linux/amd64")
	return cmd
}

func newImageTag(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "tag IMAGE NAME",
		Short: "Give an image a further name",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(s *session) error {
				return s.ImageTag(cmd.Context(), args[0], args[1])
			})
		},
	}
}

func newImageInspect(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] IMAGE...",
		Short: "Show everything about images, as JSON",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(s *session) error {
				var out []image.InspectResponse
				for _, ref := range args {
					i, err := s.ImageInspect(cmd.Context(), ref)
					if err != nil {
						return err
					}
					out = append(out, i)
				}
				return view.List(a.out, format, out, false, nil)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "json", "json, or a Go template")
	return cmd
}

func newImageRm(a *app) *cobra.Command {
	var force, noPrune bool
	cmd := &cobra.Command{
		Use:     "rm [OPTIONS] IMAGE...",
		Aliases: []string{"remove"},
		Short:   "Remove images",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(s *session) error {
				var failed []error
				for _, ref := range args {
					failed = append(failed, removeImage(cmd.Context(), s, ref, image.RemoveOptions{Force: force, PruneChildren: !noPrune}))
				}
				return errors.Join(failed...)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "Also if containers that do not run use it")
	cmd.Flags().BoolVar(&noPrune, "no-prune", false, "Keep its parents that have no name")
	return cmd
}

func removeImage(ctx context.Context, s *session, ref string, opts image.RemoveOptions) error {
	removed, err := s.ImageRemove(ctx, ref, opts)
	for _, r := range removed {
		if r.Untagged != "" {
			fmt.Fprintln(s.out, "Untagged: "+r.Untagged)
		}
		if r.Deleted != "" {
			fmt.Fprintln(s.out, "Deleted: "+r.Deleted)
		}
	}
	return err
}

// repository and tag of a familiar reference: the part after the last colon, unless that is a port's.
func splitTag(ref string) (repository, tag string) {
	name, _, _ := strings.Cut(ref, "@")
	i := strings.LastIndexByte(name, ':')
	if i < 0 || strings.ContainsRune(name[i:], '/') {
		return name, ""
	}
	return name[:i], name[i+1:]
}
