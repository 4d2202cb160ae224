package variables

import (
	"fmt"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
)

// Use is one place of a text at which a variable was looked up.
type Use struct {
	tree.Use
	Offset int    // of its "$"
	Op     string // ":-", "-", ":?", "?", ":+", "+", or "" where nothing stands for a variable that is not set
}

// Expansion is a text with its variables replaced.
type Expansion struct {
	Text string
	Uses []Use // in the order of the text, those inside an expression after it
	Lone []int // where each "$" is that is neither part of an expression nor doubled; it is left as it is
}

// Expand replaces the variables of the text. It fails with a *Mistake, also where the result would be more than limit bytes.
func Expand(text string, lookup Lookup, limit int) (Expansion, error) {
	if strings.IndexByte(text, '$') < 0 {
		return Expansion{Text: text}, nil
	}
	e := expander{text: text, lookup: lookup, limit: limit}
	if err := e.run(0, len(text), 0); err != nil {
		return Expansion{}, err
	}
	return Expansion{e.out.String(), e.uses, e.lone}, nil
}

type expander struct {
	text   string
	lookup Lookup
	limit  int
	out    strings.Builder
	uses   []Use
	lone   []int
}

// run appends what text[from:to] becomes.
func (e *expander) run(from, to, depth int) error {
	for from < to {
		i := strings.IndexByte(e.text[from:to], '$')
		if i < 0 {
			i = to - from
		}
		if err := e.write(e.text[from:from+i], from); err != nil {
			return err
		}
		if from += i; from == to {
			return nil
		}
		next, err := e.dollar(parse(e.text, from, to), depth)
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// dollar appends what the expression becomes, and returns where it ends.
func (e *expander) dollar(x expression, depth int) (int, error) {
	switch x.kind {
	case lone:
		if len(e.lone) < MaxUses {
			e.lone = append(e.lone, x.start)
		}
		return x.end, e.write("$", x.start)
	case doubled:
		return x.end, e.write("$", x.start)
	case broken:
		return 0, x.mistake()
	}
	if depth >= Depth {
		return 0, &Mistake{Offset: x.start, Rule: RuleLimit, Problem: fmt.Sprintf("variables are nested more than %d deep", Depth)}
	}
	if len(e.uses) >= MaxUses {
		return 0, &Mistake{Offset: x.start, Rule: RuleLimit, Problem: fmt.Sprintf("a value has at most %d variables", MaxUses)}
	}
	v, set := e.lookup(x.name)
	e.uses = append(e.uses, Use{tree.Use{Name: x.name, Value: v.Value, Set: set, Origin: v.Origin}, x.start, x.op})
	full := set && (v.Value != "" || !strings.HasPrefix(x.op, ":"))
	switch strings.TrimPrefix(x.op, ":") {
	case "-":
		if !full {
			return x.end, e.run(x.from, x.to, depth+1)
		}
	case "+":
		if full {
			return x.end, e.run(x.from, x.to, depth+1)
		}
	case "?":
		if !full {
			return 0, e.required(x, set, depth)
		}
	}
	return x.end, e.write(v.Value, x.start)
}

func (e *expander) write(s string, at int) error {
	if e.out.Len()+len(s) > e.limit {
		return &Mistake{Offset: at, Rule: RuleLimit, Problem: "the variables make this too long", Fix: "a variable that repeats others grows with each of them"}
	}
	e.out.WriteString(s)
	return nil
}

// required is the mistake of a variable that has to be set. The message may have variables itself.
func (e *expander) required(x expression, set bool, depth int) error {
	message := expander{text: e.text, lookup: e.lookup, limit: e.limit}
	if err := message.run(x.from, x.to, depth+1); err != nil {
		return err
	}
	problem := "the variable " + x.name + " is required and not set"
	if set {
		problem = "the variable " + x.name + " is required and empty"
	}
	if message.out.Len() > 0 {
		problem += ": " + message.out.String()
	}
	fix := fmt.Sprintf("set it in the environment or in .env: %s=…", x.name)
	return &Mistake{Offset: x.start, Rule: RuleRequired, Problem: problem, Fix: fix}
}
