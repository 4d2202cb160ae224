package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/engine"
)

type statsOptions struct {
	all, noStream, noTrunc bool
	format                 string
}

// statsInterval is how far two samples are apart: the share of the processor is what was used between them.
const statsInterval = time.Second

func newStats(a *app) *cobra.Command {
	var o statsOptions
	cmd := &cobra.Command{
		Use:   "stats [OPTIONS] [SERVICE...]",
		Short: "Show what containers use of the machine, every second",
		RunE: func(cmd *cobra.Command, args []string) error {
			sc, err := a.scope(cmd.Context())
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(s *session) error {
				return s.stats(cmd.Context(), sc, o, args)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "Also containers that do not run")
	f.BoolVar(&o.noStream, "no-stream", false, "Show it once")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "Do not shorten")
	f.StringVar(&o.format, "format", "table", "table, json, or a Go template")
	return cmd
}

// statsRow has the fields that Docker prints, under its names.
type statsRow struct {
	BlockIO   string
	CPUPerc   string
	Container string
	ID        string
	MemPerc   string
	MemUsage  string
	Name      string
	NetIO     string
	PIDs      string
}

func (s *session) stats(ctx context.Context, sc scope, o statsOptions, services []string) error {
	tick := time.NewTicker(statsInterval)
	defer tick.Stop()
	before := map[string]container.StatsResponse{}
	for first := true; ; first = false {
		list, err := s.members(ctx, sc, which{services: services, stopped: o.all})
		if err != nil {
			return err
		}
		samples, err := s.samples(ctx, list)
		if err != nil {
			return err
		}
		if !first {
			if !o.noStream && view.IsTerminal(s.out) {
				fmt.Fprint(s.out, "\x1b[H\x1b[2J")
			}
			if err := showStats(s.app, o, list, before, samples); err != nil || o.noStream {
				return err
			}
		}
		before = samples
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// samples asks all containers at the same time. One that has gone meanwhile has none.
func (s *session) samples(ctx context.Context, list []member) (map[string]container.StatsResponse, error) {
	var mu sync.Mutex
	var failed []error
	out := map[string]container.StatsResponse{}
	var group sync.WaitGroup
	for _, m := range list {
		if !m.runs() {
			continue
		}
		group.Go(func() {
			sample, err := s.ContainerStats(ctx, m.ID)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				out[m.ID] = sample
			case !errors.Is(err, engine.ErrNotFound) && !errors.Is(err, engine.ErrConflict):
				failed = append(failed, err)
			}
		})
	}
	group.Wait()
	return out, errors.Join(failed...)
}

func showStats(a *app, o statsOptions, list []member, before, now map[string]container.StatsResponse) error {
	var rows []statsRow
	for _, m := range list {
		sample, ok := now[m.ID]
		if !ok && !o.all {
			continue
		}
		rows = append(rows, newStatsRow(m, before[m.ID], sample, o.noTrunc))
	}
	slices.SortFunc(rows, func(a, b statsRow) int { return cmp.Compare(a.Name, b.Name) })
	return view.List(a.out, o.format, rows, true, func(rows []statsRow) view.Table {
		t := view.Table{Header: []string{"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"}}
		for _, r := range rows {
			t.Rows = append(t.Rows, []string{r.ID, r.Name, r.CPUPerc, r.MemUsage, r.MemPerc, r.NetIO, r.BlockIO, r.PIDs})
		}
		return t
	})
}

func newStatsRow(m member, before, now container.StatsResponse, noTrunc bool) statsRow {
	memory := usedMemory(now.MemoryStats)
	var rx, tx, read, written uint64
	for _, n := range now.Networks {
		rx, tx = rx+n.RxBytes, tx+n.TxBytes
	}
	for _, e := range now.BlkioStats.IoServiceBytesRecursive {
		switch e.Op {
		case "read", "Read":
			read += e.Value
		case "write", "Write":
			written += e.Value
		}
	}
	row := statsRow{
		ID: view.ShortID(m.ID), Container: view.ShortID(m.ID), Name: m.name,
		CPUPerc:  fmt.Sprintf("%.2f%%", cpuPercent(before, now)),
		MemUsage: binaryBytes(memory) + " / " + binaryBytes(now.MemoryStats.Limit),
		MemPerc:  fmt.Sprintf("%.2f%%", 100*share(memory, now.MemoryStats.Limit)),
		NetIO:    view.Bytes(int64(rx)) + " / " + view.Bytes(int64(tx)),
		BlockIO:  view.Bytes(int64(read)) + " / " + view.Bytes(int64(written)),
		PIDs:     fmt.Sprint(now.PidsStats.Current),
	}
	if noTrunc {
		row.ID, row.Container = m.ID, m.ID
	}
	return row
}

// cpuPercent is what was used between two samples; a whole processor is 100.
func cpuPercent(before, now container.StatsResponse) float64 {
	if before.Read.IsZero() || !now.Read.After(before.Read) || now.CPUStats.CPUUsage.TotalUsage < before.CPUStats.CPUUsage.TotalUsage {
		return 0
	}
	used := now.CPUStats.CPUUsage.TotalUsage - before.CPUStats.CPUUsage.TotalUsage
	return 100 * float64(used) / float64(now.Read.Sub(before.Read))
}

// usedMemory leaves out the page cache that the kernel can take back, as docker stats does.
func usedMemory(m container.MemoryStats) uint64 {
	for _, name := range []string{"total_inactive_file", "inactive_file"} {
		if cache, ok := m.Stats[name]; ok && cache < m.Usage {
			return m.Usage - cache
		}
	}
	return m.Usage
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// binaryBytes is a size with four digits and a binary unit: "12.34MiB".
func binaryBytes(n uint64) string {
	value, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.4g%s", value, units[unit])
}
