package image

import (
	"regexp"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"stackrun.dev/stack/engine"
)

// untaggedPrefix starts the record names of images without a name. No reference looks like this.
const untaggedPrefix = "untagged:"

var idPattern = regexp.MustCompile(`^[0-9a-f]{1,64}$`)

// parseName reads a reference in Docker's short or long form; without tag and digest it gets the tag "latest".
func parseName(ref string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "invalid image reference %q: %w", ref, err)
	}
	if digested, ok := named.(reference.Digested); ok {
		if err := digested.Digest().Validate(); err != nil {
			return nil, engine.Errorf(engine.ErrInvalid, "invalid image reference %q: %w", ref, err)
		}
	}
	return reference.TagNameOnly(named), nil
}

// parseTag reads a reference that names something new, so it cannot have a digest.
func parseTag(ref string) (reference.Named, error) {
	named, err := parseName(ref)
	if err != nil {
		return nil, err
	}
	if _, ok := named.(reference.Digested); ok {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot name an image %q: a name with a digest is given by its registry only", ref)
	}
	if name := reference.FamiliarName(named); digest.Digest(name+":"+tagOf(named)).Validate() == nil || name == "sha256" {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot name an image %q: it looks like an ID", ref)
	}
	return named, nil
}

// CheckName says whether an image can be given the name. ErrInvalid: it cannot.
func CheckName(name string) error {
	_, err := parseTag(name)
	return err
}

func tagOf(named reference.Named) string {
	if tagged, ok := named.(reference.Tagged); ok {
		return tagged.Tag()
	}
	return ""
}

// digestName is the record name of an image under the digest that its registry knows it by.
func digestName(named reference.Named, dgst digest.Digest) (string, error) {
	canonical, err := reference.WithDigest(reference.TrimNamed(named), dgst)
	if err != nil {
		return "", engine.Errorf(engine.ErrInvalid, "invalid digest %q: %w", dgst, err)
	}
	return canonical.String(), nil
}

// recordName is the name under which a reference is looked up: a digest wins over a tag.
func recordName(named reference.Named) string {
	if digested, ok := named.(reference.Digested); ok {
		return reference.TrimNamed(named).Name() + "@" + digested.Digest().String()
	}
	return named.String()
}

// familiar is the short form of a record name, and whether it carries a digest. It is "" for a record without a name.
func familiar(name string) (short string, digested bool) {
	if strings.HasPrefix(name, untaggedPrefix) {
		return "", false
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", false
	}
	_, digested = named.(reference.Digested)
	return reference.FamiliarString(named), digested
}

// idPrefix returns the hexadecimal digits of a reference that can be the beginning of an ID.
func idPrefix(ref string) (hex string, ok bool) {
	hex, _ = strings.CutPrefix(ref, "sha256:")
	return hex, idPattern.MatchString(hex)
}
