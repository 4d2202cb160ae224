package dockerapi

import (
	"errors"
	"time"

	"github.com/docker/docker/api/types/filters"
	timetypes "github.com/docker/docker/api/types/time"

	"stackrun.dev/stack/engine"
)

// pruneFilter tells what a prune request may remove by label and by age.
func pruneFilter(args filters.Args) (func(labels map[string]string, created time.Time) bool, error) {
	until := time.Now().AddDate(100, 0, 0)
	if given := args.Get("until"); len(given) > 0 {
		stamp, err := timetypes.GetTimestamp(given[0], time.Now())
		if err != nil {
			return nil, engine.Errorf(engine.ErrInvalid, "cannot read the filter until=%s: %w", given[0], err)
		}
		seconds, nanos, err := timetypes.ParseTimestamps(stamp, 0)
		if err != nil {
			return nil, engine.Errorf(engine.ErrInvalid, "cannot read the filter until=%s: %w", given[0], err)
		}
		until = time.Unix(seconds, nanos)
	}
	return func(labels map[string]string, created time.Time) bool {
		if args.Contains("label!") && args.MatchKVList("label!", labels) {
			return false
		}
		return args.MatchKVList("label", labels) && created.Before(until)
	}, nil
}

// ignore returns nil for errors of the kinds: somebody else was faster, or uses the object again.
func ignore(err error, kinds ...error) error {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return nil
		}
	}
	return err
}
