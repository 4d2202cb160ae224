package variables

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Notices says what of the text was probably not meant as it was understood: variables that are not set, and dollar signs
// that may have been meant literally.
func (x Expansion) Notices(text string) []Notice { return x.notices(text, "$$") }

// hash is what a password's hash looks like as crypt(3), htpasswd and their like write it.
var hash = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$(?:1|2[abxy]?|5|6|7|y|gy|md5|sha1|apr1|scrypt|argon2(?:i|d|id)|pbkdf2(?:-[a-z0-9]+)?)\$\S*`)
})

// notices have literal as the way to write a dollar sign.
func (x Expansion) notices(text, literal string) []Notice {
	doubtful := slices.Clone(x.Lone)
	for _, u := range x.Uses {
		if u.doubtful() {
			doubtful = append(doubtful, u.Offset)
		}
	}
	if len(doubtful) == 0 {
		return nil
	}
	if at := hash().FindStringIndex(text); at != nil && slices.ContainsFunc(doubtful, func(i int) bool { return i >= at[0] && i < at[1] }) {
		return []Notice{x.hashed(at[0], at[1], literal)}
	}
	var out []Notice
	for _, u := range x.Uses {
		if u.doubtful() {
			out = append(out, u.notice(text, literal))
		}
	}
	if len(x.Lone) > 0 {
		out = append(out, Notice{Offset: x.Lone[0], Rule: RuleDollar, Text: "this $ begins no variable and stays as it is", Fix: "if it is meant so, write " + literal})
	}
	return out
}

// hashed is the notice about a hash between the offsets. It counts as one of a variable that is not set, if there is one.
func (x Expansion) hashed(from, to int, literal string) Notice {
	n := Notice{Offset: from, Rule: RuleDollar, Text: "this looks like the hash of a password, whose $ are read as variables", Fix: "write each $ of it as " + literal}
	for _, u := range x.Uses {
		if u.doubtful() && u.Offset >= from && u.Offset < to {
			n.Rule, n.Name = RuleUnset, u.Name
			break
		}
	}
	return n
}

// doubtful says that the variable is not set and nothing stands for it.
func (u Use) doubtful() bool { return !u.Set && u.Op == "" }

func (u Use) notice(text, literal string) Notice {
	n := Notice{Offset: u.Offset, Rule: RuleUnset, Name: u.Name, Text: "the variable " + u.Name + " is not set; it is replaced by nothing"}
	if glued(text, u) {
		n.Fix = "if the $ is meant literally, write " + literal
	}
	return n
}

// glued says whether the use is a "$NAME" in the middle of a word, as a dollar sign in a password is.
func glued(text string, u Use) bool {
	if u.Offset == 0 || strings.HasPrefix(text[u.Offset:], "${") {
		return false
	}
	before := text[u.Offset-1]
	return isLetter(before) || before >= '0' && before <= '9' || strings.IndexByte("!#%&*^~+", before) >= 0
}
