package dockerapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/filters"
	timetypes "github.com/docker/docker/api/types/time"
	"github.com/moby/buildkit/client"

	"stackrun.dev/stack/engine"
)

// buildCache is what earlier builds have left with the engine's BuildKit. An engine without one has an empty cache.
type buildCache struct{ builds }

// DiskUsage lists the records, for "docker system df".
func (c buildCache) DiskUsage(ctx context.Context) ([]*build.CacheRecord, error) {
	kit, end, err := c.kit(ctx)
	if errors.Is(err, engine.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer end()
	list, err := kit.DiskUsage(ctx)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot list the build cache: %w", err)
	}
	out := make([]*build.CacheRecord, len(list))
	for i, r := range list {
		out[i] = &build.CacheRecord{
			ID: r.ID, Parents: r.Parents, Type: string(r.RecordType), Description: r.Description, InUse: r.InUse, Shared: r.Shared,
			Size: r.Size, CreatedAt: r.CreatedAt, LastUsedAt: r.LastUsedAt, UsageCount: r.UsageCount,
		}
	}
	return out, nil
}

// prune answers "docker builder prune" and the part of "docker system prune" that is about builds.
func (c buildCache) prune(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	rule, possible, err := pruneRule(r)
	if err != nil {
		return err
	}
	report := build.CachePruneReport{CachesDeleted: []string{}}
	if possible {
		if err := c.remove(ctx, rule, &report); err != nil && !errors.Is(err, engine.ErrUnsupported) {
			return err
		}
	}
	return httputils.WriteJSON(w, http.StatusOK, report)
}

func (c buildCache) remove(ctx context.Context, rule client.PruneInfo, report *build.CachePruneReport) error {
	kit, end, err := c.kit(ctx)
	if err != nil {
		return err
	}
	defer end()
	records, counted := make(chan client.UsageInfo), make(chan struct{})
	go func() {
		defer close(counted)
		for record := range records {
			report.CachesDeleted = append(report.CachesDeleted, record.ID)
			report.SpaceReclaimed += uint64(max(record.Size, 0))
		}
	}()
	err = kit.Prune(ctx, records, pruneOption(rule))
	close(records)
	<-counted
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot prune the build cache: %w", err)
	}
	return nil
}

// pruneOption gives a whole rule to BuildKit's client.
type pruneOption client.PruneInfo

// SetPruneOption implements client.PruneOption.
func (o pruneOption) SetPruneOption(info *client.PruneInfo) { *info = client.PruneInfo(o) }

// cacheFields are what a record can be chosen by.
var cacheFields = []string{"description", "id", "inuse", "parent", "private", "shared", "type"}

// pruneRule reads which records may go. It is not possible if none can match.
func pruneRule(r *http.Request) (rule client.PruneInfo, possible bool, err error) {
	args, err := filters.FromJSON(r.URL.Query().Get("filters"))
	if err != nil {
		return rule, false, engine.Errorf(engine.ErrInvalid, "cannot read the filters: %w", err)
	}
	known := map[string]bool{"until": true, "unused-for": true, "label": true, "label!": true}
	var chosen []string
	for _, field := range cacheFields {
		known[field] = true
		values := args.Get(field)
		operator := map[bool]string{true: "~=", false: "=="}[field == "id"] // the beginning of an ID will do
		switch {
		case len(values) > 1:
			return rule, false, engine.Errorf(engine.ErrInvalid, "cannot prune the build cache: the filter %s is given more than once", field)
		case len(values) == 1 && values[0] != "":
			chosen = append(chosen, field+operator+values[0])
		case args.Contains(field):
			chosen = append(chosen, field)
		}
	}
	if err := args.Validate(known); err != nil {
		return rule, false, engine.Errorf(engine.ErrInvalid, "cannot prune the build cache: %w", err)
	}
	rule = client.PruneInfo{All: httputils.BoolValue(r, "all")}
	if len(chosen) > 0 {
		rule.Filter = []string{strings.Join(chosen, ",")}
	}
	if rule.KeepDuration, err = unusedFor(append(args.Get("until"), args.Get("unused-for")...)); err != nil {
		return rule, false, err
	}
	for _, size := range []struct {
		name string
		to   *int64
	}{{"keep-storage", &rule.ReservedSpace}, {"reserved-space", &rule.ReservedSpace}, {"max-used-space", &rule.MaxUsedSpace}, {"min-free-space", &rule.MinFreeSpace}} {
		text := r.URL.Query().Get(size.name)
		if text == "" {
			continue
		}
		if *size.to, err = strconv.ParseInt(text, 10, 64); err != nil {
			return rule, false, engine.Errorf(engine.ErrInvalid, "cannot read the option %s: %w", size.name, err)
		}
	}
	return rule, !args.Contains("label"), nil // no record has a label
}

// unusedFor reads an age, or the time since when.
func unusedFor(values []string) (time.Duration, error) {
	switch len(values) {
	case 0:
		return 0, nil
	case 1:
	default:
		return 0, engine.Errorf(engine.ErrInvalid, "cannot prune the build cache: the filter until is given more than once")
	}
	stamp, err := timetypes.GetTimestamp(values[0], time.Now())
	if err != nil {
		return 0, engine.Errorf(engine.ErrInvalid, "cannot read the filter until=%s: %w", values[0], err)
	}
	seconds, nanos, err := timetypes.ParseTimestamps(stamp, 0)
	if err != nil {
		return 0, engine.Errorf(engine.ErrInvalid, "cannot read the filter until=%s: %w", values[0], err)
	}
	return time.Since(time.Unix(seconds, nanos)), nil
}
