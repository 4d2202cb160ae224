package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/engine"
)

func newPort(a *app) *cobra.Command {
	var protocol string
	var index int
	cmd := &cobra.Command{
		Use:   "port [OPTIONS] SERVICE PRIVATE_PORT",
		Short: "Show where a container's port is published",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, err := strconv.ParseUint(args[1], 10, 16)
			if err != nil || private == 0 {
				return usagef("port %q is not a number from 1 to 65535", args[1])
			}
			sc, err := a.scope(cmd.Context())
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(s *session) error {
				m, err := s.one(cmd.Context(), sc, args[0], index)
				if err != nil {
					return err
				}
				for _, p := range m.Ports {
					if p.PrivatePort == uint16(private) && p.Type == protocol && p.PublicPort != 0 {
						fmt.Fprintln(a.out, net.JoinHostPort(p.IP, strconv.Itoa(int(p.PublicPort))))
						return nil
					}
				}
				return engine.Errorf(engine.ErrNotFound, "no port %d/%s of container %s is published", private, protocol, m.name)
			})
		},
	}
	cmd.Flags().StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	cmd.Flags().IntVar(&index, "index", 0, "The container of this number, if the service has several")
	return cmd
}
