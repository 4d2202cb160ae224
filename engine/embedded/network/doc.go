// Package network gives containers their networks: bridges, addresses, published ports and network namespaces, all
// set up over netlink without running any helper program.
//
// # Vocabulary
//
// A network is a record; for the driver "bridge" it also is a Linux bridge, which exists from the first container that
// connects until the network is removed. An endpoint is a container's place on a network: an address, a hardware
// address and a pair of virtual links. A sandbox is the network namespace of one container with all its endpoints. It
// exists while the container runs; its addresses are free for others afterwards.
//
// # Who owns what
//
// A namespace has no name in the file system. It lives as long as a process is in it or a descriptor refers to it, and
// the kernel takes the links inside down with it. Everything on the host side belongs to the Manager: its bridges and
// links have names that begin with "st", and all its firewall rules are in one nftables table, "stack_" and the
// instance. Records say what ought to be there; Open makes the kernel agree with them, whatever happened in between.
//
// Several engines and a Docker share a host as long as each has its own instance: pools that overlap what the host
// routes already are passed over, and nothing outside the own table and the own links is changed, except that
// net.ipv4.ip_forward is switched on when the first bridge needs it (as Docker does) and left on.
package network
