package imagebuild

import (
	"encoding/csv"
	"fmt"
	"strings"

	"github.com/moby/buildkit/client"
)

// parseCache reads where a cache is, as Compose and docker buildx write it: an image, or "type=…,key=value".
func parseCache(text string) (client.CacheOptionsEntry, error) {
	if !strings.Contains(text, "=") {
		return client.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": text}}, nil
	}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return client.CacheOptionsEntry{}, fmt.Errorf("cannot read the cache %q: %w", text, err)
	}
	entry := client.CacheOptionsEntry{Attrs: make(map[string]string)}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		switch {
		case !ok:
			return entry, fmt.Errorf("cannot read the cache %q: %q is not key=value", text, field)
		case key == "type":
			entry.Type = value
		default:
			entry.Attrs[key] = value
		}
	}
	if entry.Type == "" {
		return entry, fmt.Errorf("cannot read the cache %q: it has no type", text)
	}
	return entry, nil
}
