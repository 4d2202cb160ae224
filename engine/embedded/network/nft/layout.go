package nft

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// layout is the table with its sets and maps.
type layout struct {
	table *nftables.Table

	bridges    *nftables.Set // all our bridges
	same       *nftables.Set // each bridge paired with itself
	internal   *nftables.Set // bridges of internal networks
	masquerade *nftables.Set // bridges whose containers appear under the host's address
	subnets    *nftables.Set // of all networks

	published   *nftables.Set // protocol . port → container's address . port, for all addresses of the host
	publishedAt *nftables.Set // address . protocol . port → the same, for one address
}

func newLayout(name string) *layout {
	table := &nftables.Table{Name: name, Family: nftables.TableFamilyIPv4}
	var id uint32 // within a transaction
	set := func(name string, key ...nftables.SetDatatype) *nftables.Set {
		id++
		s := &nftables.Set{Table: table, ID: id, Name: name, KeyType: key[0]}
		if key[0] == nftables.TypeIFName {
			s.KeyByteOrder = binaryutil.NativeEndian // how the nft program shall show it
		}
		if len(key) > 1 {
			s.KeyType, s.Concatenation = nftables.MustConcatSetType(key...), true
		}
		return s
	}
	ranges := func(s *nftables.Set) *nftables.Set {
		s.Interval = true
		return s
	}
	target := nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
	toContainer := func(s *nftables.Set) *nftables.Set {
		s.IsMap, s.DataType = true, target
		return s
	}
	return &layout{
		table:       table,
		bridges:     set("bridges", nftables.TypeIFName),
		same:        set("same", nftables.TypeIFName, nftables.TypeIFName),
		internal:    set("internal", nftables.TypeIFName),
		masquerade:  set("masquerade", nftables.TypeIFName),
		subnets:     ranges(set("subnets", nftables.TypeIPAddr)),
		published:   toContainer(set("published", nftables.TypeInetProto, nftables.TypeInetService)),
		publishedAt: toContainer(set("published_at", nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)),
	}
}

func (l *layout) sets() []*nftables.Set {
	return []*nftables.Set{l.bridges, l.same, l.internal, l.masquerade, l.subnets, l.published, l.publishedAt}
}

// create adds the table, the empty sets and the rules to the transaction.
func (l *layout) create(c *nftables.Conn) error {
	c.AddTable(l.table)
	for _, s := range l.sets() {
		if err := c.AddSet(s, nil); err != nil {
			return err
		}
	}
	l.guard(c)
	l.publish(c)
	l.source(c)
	l.forward(c)
	return nil
}

// hook is where and when a chain looks at packets.
type hook struct {
	kind     nftables.ChainType
	at       *nftables.ChainHook
	priority *nftables.ChainPriority
}

func (l *layout) chain(c *nftables.Conn, name string, h hook, rules ...[]expr.Any) {
	chain := &nftables.Chain{Name: name, Table: l.table, Type: h.kind, Hooknum: h.at, Priority: h.priority}
	c.AddChain(chain)
	for _, exprs := range rules {
		c.AddRule(&nftables.Rule{Table: l.table, Chain: chain, Exprs: exprs})
	}
}

// guard keeps containers from sending to the host's 127.0.0.0/8, which the kernel would let in through our bridges
// because they route it for connections from 127.0.0.1 to published ports.
func (l *layout) guard(c *nftables.Conn) {
	l.chain(c, "guard", hook{nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw},
		rule(inIn(l.bridges), toLoopback(), drop()),
	)
}

// publish leads connections to the host's own addresses to the containers that publish the port, wherever they come
// from. A port published at one address goes before one published at all.
func (l *layout) publish(c *nftables.Conn) {
	l.chain(c, "publish", hook{},
		rule(destination(1), protocol(9), destinationPort(10), mapTo(l.publishedAt), destinationNAT()),
		rule(protocol(1), destinationPort(9), mapTo(l.published), destinationNAT()),
	)
	l.chain(c, "from_outside", hook{nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest},
		rule(toThisHost(), jump("publish")))
	l.chain(c, "from_host", hook{nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest},
		rule(toThisHost(), jump("publish")))
}

// source hides addresses that the other side could not answer to, or would answer to directly and not by way of the
// host: containers' from the world, a container's from another one that it reaches by a published port, and 127.0.0.1
// from containers. Where the kernel filters bridged packets too (br_netfilter), a packet to a published port of its own
// network does not tell where it came in; hence the subnets.
func (l *layout) source(c *nftables.Conn) {
	l.chain(c, "source", hook{nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource},
		rule(inIn(l.masquerade), outNotIn(l.bridges), masquerade()),
		rule(source(1), lookup(l.subnets, false), outIn(l.bridges), wasPublished(), masquerade()),
		rule(fromLoopback(), outIn(l.bridges), masquerade()),
	)
}

// forward separates: a network gets what belongs to its own connections, what comes from itself and what its
// containers publish. An internal one gets and sends nothing else at all.
func (l *layout) forward(c *nftables.Conn) {
	l.chain(c, "forward", hook{nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter},
		rule(established(), accept()),
		rule(inAndOutIn(l.same), accept()),
		rule(inIn(l.internal), drop()),
		rule(outIn(l.internal), drop()),
		rule(outIn(l.bridges), wasPublished(), accept()),
		rule(outIn(l.bridges), drop()),
	)
}
