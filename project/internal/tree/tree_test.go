package tree

import (
	"fmt"
	"testing"
)

func scalar(text string) *Value { return NewText(text, Place{Line: 1, Col: 1}) }

func TestMapKeepsOrderAndFindsKeys(t *testing.T) {
	for _, n := range []int{3, indexFrom, 100} {
		m := NewMap(Place{})
		for i := range n {
			m.Set(fmt.Sprint("k", i), Place{Line: i + 1}, scalar(fmt.Sprint(i)))
		}
		m.Set("k1", Place{}, scalar("one"))
		m.Delete("k0")
		m.Set("last", Place{}, scalar("x"))
		if m.Len() != n || m.Entries[0].Key != "k1" || m.Entries[n-1].Key != "last" {
			t.Errorf("%d entries: %d, from %s to %s", n, m.Len(), m.Entries[0].Key, m.Entries[m.Len()-1].Key)
		}
		if e := m.Entry("k1"); e.At.Line != 2 || e.Value.Text != "one" || m.Get("k0") != nil || m.Get("last").Text != "x" {
			t.Errorf("%d entries: k1 is %+v", n, e)
		}
	}
}

func TestCloneIsApart(t *testing.T) {
	m := NewMap(Place{})
	m.Set("list", Place{}, &Value{Kind: List, Items: []*Value{scalar("a")}})
	c := m.Clone()
	if !Equal(m, c) {
		t.Error("a clone differs")
	}
	c.Get("list").Items[0].Text = "b"
	c.Set("new", Place{}, scalar("c"))
	if m.Get("list").Items[0].Text != "a" || m.Get("new") != nil || Equal(m, c) {
		t.Error("a change of the clone shows in the original")
	}
}

func TestFind(t *testing.T) {
	m := NewMap(Place{})
	m.Set("env", Place{Line: 2}, &Value{Kind: List, Items: []*Value{scalar("A=1"), scalar("data:/x"), scalar("C")}})
	for _, c := range []struct {
		path  []string
		steps int
		text  string
	}{
		{[]string{"env", "0"}, 2, "A=1"},
		{[]string{"env", "[1]"}, 2, "data:/x"},
		{[]string{"env", "data"}, 2, "data:/x"},
		{[]string{"env", "C"}, 2, "C"},
		{[]string{"env", "9"}, 1, ""},
		{[]string{"nothing"}, 0, ""},
	} {
		if e, n := m.Find(c.path...); n != c.steps || e.Value.Text != c.text {
			t.Errorf("%v: %d steps to %q", c.path, n, e.Value.Text)
		}
	}
}
