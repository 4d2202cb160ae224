package nft

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Admit adds to the chain FORWARD of iptables what lets the wanted bridges' packets pass, if its policy is to drop, as
// Docker and ufw set it, and takes out what is there for the unwanted ones. A packet that one table drops is lost
// whatever another says, so without this our containers would be cut off from the world. The rules come last: they
// answer instead of the policy and leave every other rule its say. They are written as iptables itself would.
//
// Nothing is done where iptables has no such chain.
func (*Table) Admit(wanted, unwanted []string) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv4}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return fmt.Errorf("read the chain FORWARD of iptables: %w", err)
	}
	i := slices.IndexFunc(chains, func(c *nftables.Chain) bool { return c.Name == "FORWARD" && c.Table.Name == table.Name })
	if i < 0 {
		return nil
	}
	chain := chains[i]
	rules, err := c.GetRules(table, chain)
	if err != nil {
		return fmt.Errorf("read the chain FORWARD of iptables: %w", err)
	}
	admission{c, chain, rules}.update(wanted, unwanted)
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("change the chain FORWARD of iptables: %w", err)
	}
	return nil
}

// admission is a chain as it is, and the transaction that changes it.
type admission struct {
	conn  *nftables.Conn
	chain *nftables.Chain
	rules []*nftables.Rule
}

func (a admission) update(wanted, unwanted []string) {
	for _, bridge := range unwanted {
		for _, key := range bothWays {
			if r := a.find(key, bridge); r != nil {
				_ = a.conn.DelRule(r) // fails for a rule without a handle only
			}
		}
	}
	if a.chain.Policy == nil || *a.chain.Policy != nftables.ChainPolicyDrop {
		return
	}
	for _, bridge := range wanted {
		for _, key := range bothWays {
			if a.find(key, bridge) == nil {
				a.conn.AddRule(&nftables.Rule{Table: a.chain.Table, Chain: a.chain, Exprs: admit(key, bridge)})
			}
		}
	}
}

var bothWays = []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME}

// admit is "-i bridge -j ACCEPT" or "-o bridge -j ACCEPT".
func admit(key expr.MetaKey, bridge string) []expr.Any {
	return rule(meta(key, 1), equals(append([]byte(bridge), 0)...), match{&expr.Counter{}}, accept())
}

// find returns the rule that admit makes, nil if there is none.
func (a admission) find(key expr.MetaKey, bridge string) *nftables.Rule {
	for _, r := range a.rules {
		if len(r.Exprs) != 4 {
			continue
		}
		m, ok1 := r.Exprs[0].(*expr.Meta)
		c, ok2 := r.Exprs[1].(*expr.Cmp)
		_, ok3 := r.Exprs[2].(*expr.Counter)
		v, ok4 := r.Exprs[3].(*expr.Verdict)
		if ok1 && ok2 && ok3 && ok4 && m.Key == key && c.Op == expr.CmpOpEq && v.Kind == expr.VerdictAccept &&
			bytes.Equal(bytes.TrimRight(c.Data, "\x00"), []byte(bridge)) {
			return r
		}
	}
	return nil
}
