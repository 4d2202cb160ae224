package main

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/image"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

func newImagePull(a *app) *cobra.Command {
	var platform string
	cmd := &cobra.Command{
		Use:   "pull [OPTIONS] IMAGE",
		Short: "Fetch an image from its registry",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(s *session) error {
				progress, err := a.progress("pull")
				if err != nil {
					return err
				}
				defer progress.Close()
				return s.pull(cmd.Context(), progress, args[0], platform)
			})
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "Platform to fetch, such as linux/arm64 (default: this machine's)")
	return cmd
}

func newImagePush(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "push IMAGE",
		Short: "Send an image to its registry",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(s *session) error {
				progress, err := a.progress("push")
				if err != nil {
					return err
				}
				defer progress.Close()
				return s.push(cmd.Context(), progress, args[0])
			})
		},
	}
}

// pull fetches an image and shows it.
func (s *session) pull(ctx context.Context, progress view.Progress, ref, platform string) error {
	auth, err := registryAuth(ref)
	if err != nil {
		return err
	}
	id := "Image " + ref
	progress.Event(view.Event{ID: id, Status: "Pulling", State: view.Working})
	err = s.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth, Platform: platform}, transfer(progress, view.Event{ID: id, Status: "Pulling"}))
	if err != nil {
		progress.Event(view.Event{ID: id, Status: "Error", State: view.Failed})
		return pullError{err}
	}
	progress.Event(view.Event{ID: id, Status: "Pulled", State: view.Done})
	return nil
}

// push sends an image and shows it.
func (s *session) push(ctx context.Context, progress view.Progress, ref string) error {
	auth, err := registryAuth(ref)
	if err != nil {
		return err
	}
	if auth == "" {
		auth = "e30=" // {}: a registry that asks for nothing; the API insists on the header
	}
	id := "Image " + ref
	progress.Event(view.Event{ID: id, Status: "Pushing", State: view.Working})
	if err := s.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: auth}, transfer(progress, view.Event{ID: id, Status: "Pushing"})); err != nil {
		progress.Event(view.Event{ID: id, Status: "Error", State: view.Failed})
		return fmt.Errorf("cannot push %s: %w", ref, err)
	}
	progress.Event(view.Event{ID: id, Status: "Pushed", State: view.Done})
	return nil
}
