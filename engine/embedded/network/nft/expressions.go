package nft

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The parts that rules are put together from. Registers 1 to 4 have 16 bytes each; 8 to 23 are the same ones in pieces
// of 4 bytes, so that 8 is the beginning of 1 and the parts of a key follow each other in 8 (or 1), 9, 10.

type match = []expr.Any

func rule(parts ...match) []expr.Any { return slices.Concat(parts...) }

func verdict(kind expr.VerdictKind, chain string) match {
	return match{&expr.Verdict{Kind: kind, Chain: chain}}
}

func accept() match           { return verdict(expr.VerdictAccept, "") }
func drop() match             { return verdict(expr.VerdictDrop, "") }
func jump(chain string) match { return verdict(expr.VerdictJump, chain) }
func masquerade() match       { return match{&expr.Masq{}} }
func lookup(s *nftables.Set, invert bool) match {
	return match{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: invert}}
}

// mapTo replaces the key in register 1 by its value; the rule ends if there is none.
func mapTo(s *nftables.Set) match {
	return match{&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: s.Name, SetID: s.ID}}
}

// destinationNAT leads to the address in register 1 and the port in the 4 bytes after it.
func destinationNAT() match {
	return match{&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 9, Specified: true}}
}

func meta(key expr.MetaKey, register uint32) match {
	return match{&expr.Meta{Key: key, Register: register}}
}

func inIn(s *nftables.Set) match     { return rule(meta(expr.MetaKeyIIFNAME, 1), lookup(s, false)) }
func outIn(s *nftables.Set) match    { return rule(meta(expr.MetaKeyOIFNAME, 1), lookup(s, false)) }
func outNotIn(s *nftables.Set) match { return rule(meta(expr.MetaKeyOIFNAME, 1), lookup(s, true)) }
func inAndOutIn(s *nftables.Set) match {
	return rule(meta(expr.MetaKeyIIFNAME, 1), meta(expr.MetaKeyOIFNAME, 2), lookup(s, false))
}

func protocol(register uint32) match { return meta(expr.MetaKeyL4PROTO, register) }

func destinationPort(register uint32) match {
	return match{&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}}
}

const (
	sourceOffset      = 12 // of the source address in the IPv4 header
	destinationOffset = 16
)

func address(offset, register, size uint32) match {
	return match{&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}}
}

func source(register uint32) match      { return address(sourceOffset, register, 4) }
func destination(register uint32) match { return address(destinationOffset, register, 4) }

func equals(data ...byte) match {
	return match{&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}}
}

// The first byte of the address says that it is in 127.0.0.0/8.
func toLoopback() match   { return rule(address(destinationOffset, 1, 1), equals(127)) }
func fromLoopback() match { return rule(address(sourceOffset, 1, 1), equals(127)) }

// toThisHost matches addresses of the host itself.
func toThisHost() match {
	return match{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// conntrack matches if the connection has one of the bits.
func conntrack(key expr.CtKey, bits uint32) match {
	return match{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func established() match {
	return conntrack(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// wasPublished matches connections whose destination was replaced: IPS_DST_NAT of the kernel's
// nf_conntrack_common.h.
func wasPublished() match {
	const destinationNAT = 1 << 5
	return conntrack(expr.CtKeySTATUS, destinationNAT)
}
