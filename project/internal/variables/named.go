package variables

import "strings"

// Name is a variable as a text uses it.
type Name struct {
	Name      string
	Offset    int  // of its "$"
	Required  bool // it has an operator with "?"
	Default   string
	Alternate string
}

// Named lists the variables of a text, also those in defaults and alternatives that may not be used.
func Named(text string) []Name { return names(nil, text, 0, len(text), 0) }

func names(out []Name, text string, from, to, depth int) []Name {
	for from < to {
		i := strings.IndexByte(text[from:to], '$')
		if i < 0 {
			break
		}
		x := parse(text, from+i, to)
		if x.name != "" {
			out = append(out, x.describe(text))
		}
		if strings.TrimPrefix(x.op, ":") != "?" && depth < Depth {
			out = names(out, text, x.from, x.to, depth+1)
		}
		from = max(x.end, from+i+1)
	}
	return out
}

func (x expression) describe(text string) Name {
	n := Name{Name: x.name, Offset: x.start}
	switch strings.TrimPrefix(x.op, ":") {
	case "?":
		n.Required = true
	case "-":
		n.Default = text[x.from:x.to]
	case "+":
		n.Alternate = text[x.from:x.to]
	}
	return n
}
