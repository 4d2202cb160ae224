package nft

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ResolverAddress is where containers ask for names.
var ResolverAddress = [4]byte{127, 0, 0, 11}

const (
	nameService = 53
	tcpChecksum = 16 // offset in the TCP header
	udpChecksum = 6
)

// RedirectResolver makes a resolver that listens on port of 127.0.0.11 appear on port 53, by UDP and TCP, in the
// network namespace of the calling thread.
//
// It rewrites the ports of each packet and tracks no connections: a namespace without connection tracking costs less,
// for its packets too. Answers are rewritten before a connection tracking that the container may set up, and questions
// after it, so that both look the same to it.
func RedirectResolver(to uint16) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := c.AddTable(&nftables.Table{Name: "stack_resolver", Family: nftables.TableFamilyIPv4})
	const source, destination = 0, 2 // offsets of the ports
	for _, way := range []struct {
		name          string
		priority      *nftables.ChainPriority
		address, port uint32 // where they are in the packet
		from, to      uint16
	}{
		{"answers", nftables.ChainPriorityRaw, sourceOffset, source, to, nameService},
		{"questions", nftables.ChainPriorityLast, destinationOffset, destination, nameService, to},
	} {
		chain := c.AddChain(&nftables.Chain{Name: way.name, Table: t, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookOutput, Priority: way.priority})
		for _, p := range []struct {
			protocol byte
			checksum uint32
		}{{unix.IPPROTO_UDP, udpChecksum}, {unix.IPPROTO_TCP, tcpChecksum}} {
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: rule(
				address(way.address, 1, 4), equals(ResolverAddress[:]...),
				meta(expr.MetaKeyL4PROTO, 1), equals(p.protocol),
				match{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: way.port, Len: 2}},
				equals(byte(way.from>>8), byte(way.from)),
				rewritePort(way.port, way.to, p.checksum),
			)})
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("redirect the resolver: %w", err)
	}
	return nil
}

// rewritePort writes a port into the packet and corrects the checksum.
func rewritePort(offset uint32, port uint16, checksum uint32) match {
	return match{
		&expr.Immediate{Register: 1, Data: []byte{byte(port >> 8), byte(port)}},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseTransportHeader,
			Offset: offset, Len: 2, CsumType: expr.CsumTypeInet, CsumOffset: checksum},
	}
}
