// Package network gives containers their networks: bridges, addresses, published ports and network namespaces, all
// set up over netlink without running another program.
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
// routes already are passed over, and outside the own table and the own links two things are changed only.
// net.ipv4.ip_forward is switched on when the first bridge needs it, and stays on, as with Docker: others may rely on it
// by then. And where iptables drops what is forwarded, as Docker and ufw set it, two rules per bridge at the end of its
// chain FORWARD keep our containers out of that; they go with the bridge.
//
// # Handing over
//
// A container that takes another one's place may ask for host ports that only the other one has. Such a port waits: it is
// in the record, and neither in the firewall nor held. HandOver passes it when the other container begins to end. Who has a
// port is decided by the record of the container that gets it: after a crash, later containers' records are believed
// rather than earlier ones', and what nobody has goes to who waits.
//
// # Cost
//
// A sandbox with one network takes about 1.5 ms of processor time, most of it the kernel's: the namespace (0.35 ms), the
// pair of links (0.35 ms) and the table that leads to the resolver (0.4 ms). Deleting a link takes the kernel tens of
// milliseconds of waiting, so nothing that somebody waits for deletes one: links go down with their namespace, bridges
// lose their address at once, and a sweeper removes what is left a moment later.
package network
