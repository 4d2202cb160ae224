package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// Version is that of the form in which records are written. It changes with every change that older programs, or newer ones,
// would misread.
const Version = 1

// kind begins every record.
const kind = "stack record"

// envelope is what a record is written in.
type envelope struct {
	Kind    string          `json:"kind"`
	Version int             `json:"version"`
	Sum     string          `json:"sum"` // SHA-256 of Content
	Content json.RawMessage `json:"content"`
}

// Encode writes the record as JSON.
func Encode(r *Record) ([]byte, error) {
	if r.Plan != nil {
		kept := *r.Plan
		kept.Secrets = nil
		for _, content := range secretsOf(r.Desired) {
			kept.Secrets = append(kept.Secrets, *content)
		}
		copied := *r
		copied.Plan = &kept
		r = &copied
	}
	content, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("cannot write the project down: %w", err)
	}
	if hasReplacement(content) {
		return nil, errors.New("cannot write the project down: there is a text in it that is not UTF-8")
	}
	return json.Marshal(envelope{Kind: kind, Version: Version, Sum: sumOf(content), Content: content})
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// hasReplacement says that the encoder came upon a text that is not UTF-8. It writes \ufffd for that, and the character itself
// where it stands in the text.
func hasReplacement(content []byte) bool {
	const mark = `\ufffd`
	text := string(content)
	for i := strings.Index(text, mark); i >= 0; {
		before := strings.TrimRight(text[:i], `\`)
		if (i-len(before))%2 == 0 { // else its backslash is one of the text's own
			return true
		}
		next := strings.Index(text[i+1:], mark)
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

// Decode reads what Encode wrote. It refuses what is damaged, of another version, or has something that it does not know.
func Decode(text []byte) (*Record, error) {
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("it is damaged, or was not written by stack: %w", err)
	}
	switch {
	case e.Kind != kind:
		return nil, errors.New("it was not written by stack")
	case e.Version != Version:
		return nil, fmt.Errorf("it is of version %d, and this program reads version %d", e.Version, Version)
	}
	var content bytes.Buffer
	if err := json.Compact(&content, e.Content); err != nil || sumOf(content.Bytes()) != e.Sum {
		return nil, errors.New("it is damaged: its content does not fit its checksum")
	}
	return decodeContent(&content)
}

func decodeContent(content io.Reader) (*Record, error) {
	d := json.NewDecoder(content)
	d.DisallowUnknownFields()
	r := &Record{}
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("it has something that this program does not know: %w", err)
	}
	if r.Desired == nil || r.Desired.Name == "" {
		return nil, errors.New("it is damaged: it has no project")
	}
	if !whole(r.Desired) {
		return nil, errors.New("it is damaged: it has a container or an image without what it is made of")
	}
	if r.Plan == nil {
		return r, nil
	}
	places := secretsOf(r.Desired)
	if len(places) != len(r.Plan.Secrets) {
		return nil, fmt.Errorf("it is damaged: it has %d secrets of builds instead of %d", len(r.Plan.Secrets), len(places))
	}
	for i, place := range places {
		*place = r.Plan.Secrets[i]
	}
	return r, nil
}

// whole says that there is everything which whoever plans takes for granted: others may have written the record.
func whole(p *desired.Project) bool {
	for _, b := range builds(p) {
		if len(b.Options.Tags) == 0 {
			return false
		}
	}
	for i := range p.Services {
		s := &p.Services[i]
		for j := range s.Containers {
			if hollow(s.Containers[j].Config) {
				return false
			}
		}
		for j := range s.PreStart {
			if hollow(s.PreStart[j].Config) {
				return false
			}
		}
	}
	return true
}

func hollow(c engine.CreateConfig) bool { return c.Config == nil || c.Host == nil }
