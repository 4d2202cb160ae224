package image

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine"
)

func TestFindByEveryKindOfReference(t *testing.T) {
	s, _ := open(t)
	ctx := context.Background()
	id := importSmall(t, s, "example.org/team/app:1.2")
	hex := strings.TrimPrefix(id, "sha256:")
	for _, ref := range []string{"example.org/team/app:1.2", id, hex, hex[:12], "sha256:" + hex[:8], hex[:4]} {
		if img, err := s.Resolve(ctx, ref); err != nil || img.ID != id {
			t.Errorf("Resolve(%q) = %s, %v", ref, img.ID, err)
		}
	}
	for _, ref := range []string{"example.org/team/app", "app", "sha256:" + strings.Repeat("0", 64), "example.org/team/app@sha256:" + strings.Repeat("0", 64)} {
		if _, err := s.Resolve(ctx, ref); !errors.Is(err, engine.ErrNotFound) || !strings.Contains(err.Error(), "no such image: "+ref) {
			t.Errorf("Resolve(%q): %v", ref, err)
		}
	}
	if _, err := s.Resolve(ctx, "not//valid"); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("an invalid reference is %v", err)
	}
}

func TestTagTakesTheNameAway(t *testing.T) {
	s, _ := open(t)
	ctx := context.Background()
	first := importSmall(t, s, "app", "CMD first")
	second := importSmall(t, s, "app", "CMD second")
	list, err := s.List(ctx, image.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, i := range list {
		got[i.ID] = i.RepoTags
	}
	if want := map[string][]string{first: {}, second: {"app:latest"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("after taking the name: %v, want %v", got, want)
	}
	dangling, err := s.List(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("dangling", "true"))})
	if err != nil || len(dangling) != 1 || dangling[0].ID != first {
		t.Errorf("dangling images: %v, %v", dangling, err)
	}
	if err := s.Tag(ctx, first, "app:old"); err != nil {
		t.Fatal(err)
	}
	if img, err := s.Resolve(ctx, first); err != nil || !reflect.DeepEqual(img.RepoTags, []string{"app:old"}) {
		t.Errorf("tagged again: %v, %v", img.RepoTags, err)
	}
	if err := s.Tag(ctx, "gone", "x"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("tagging what is not there: %v", err)
	}
}

func TestRemove(t *testing.T) {
	ctx := context.Background()
	running := func(string) []Use { return []Use{{Container: "c1", Running: true}} }
	stopped := func(string) []Use { return []Use{{Container: "c1"}} }
	for _, tc := range []struct {
		name  string
		tags  []string
		ref   string // "" for the ID
		force bool
		inUse func(string) []Use
		want  string // what is reported, or the error
		left  bool
	}{
		{name: "last name", tags: []string{"a"}, ref: "a", want: "untagged a:latest, deleted"},
		{name: "one of two names", tags: []string{"a", "b"}, ref: "a", inUse: running, want: "untagged a:latest", left: true},
		{name: "by ID", tags: []string{"a"}, want: "untagged a:latest, deleted"},
		{name: "by ID with two names", tags: []string{"a", "b"}, want: "it has the names a:latest, b:latest", left: true},
		{name: "by ID with two names and force", tags: []string{"a", "b"}, force: true, want: "untagged a:latest, untagged b:latest, deleted"},
		{name: "used by a stopped container", tags: []string{"a"}, ref: "a", inUse: stopped, want: "container c1 uses", left: true},
		{name: "used by a stopped container and force", tags: []string{"a"}, ref: "a", force: true, inUse: stopped, want: "untagged a:latest, deleted"},
		{name: "used by a running container and force", tags: []string{"a"}, ref: "a", force: true, inUse: running, want: "container c1 is running", left: true},
		{name: "not there", tags: []string{"a"}, ref: "zz", want: "no such image: zz", left: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, sn := open(t)
			id := importSmall(t, s, tc.tags[0])
			for _, tag := range tc.tags[1:] {
				if err := s.Tag(ctx, id, tag); err != nil {
					t.Fatal(err)
				}
			}
			out, err := s.Remove(ctx, orElse(tc.ref, id), image.RemoveOptions{Force: tc.force}, tc.inUse)
			var got []string
			for _, r := range out {
				if r.Untagged != "" {
					got = append(got, "untagged "+r.Untagged)
				} else {
					got = append(got, "deleted")
				}
			}
			text := strings.Join(got, ", ")
			if err != nil {
				text = err.Error()
			}
			if text != tc.want && (err == nil || !strings.Contains(text, tc.want)) {
				t.Errorf("got %q, want %q", text, tc.want)
			}
			if _, err := s.Resolve(ctx, id); (err == nil) != tc.left {
				t.Errorf("afterwards Resolve says %v", err)
			}
			if tc.left {
				return
			}
			if err := sn.CollectNow(ctx); err != nil {
				t.Fatal(err)
			}
			if left := inventory(t, sn); len(left) > 0 {
				t.Errorf("left after the removal: %v", left)
			}
		})
	}
}

func BenchmarkResolve(b *testing.B) {
	s, _ := open(b)
	for i := range 20 {
		importSmall(b, s, fmt.Sprintf("app%d", i), fmt.Sprintf("CMD %d", i))
	}
	for b.Loop() {
		if _, err := s.Resolve(context.Background(), "app7"); err != nil {
			b.Fatal(err)
		}
	}
}
