package dockerd

import "net"

// resolver is an address of the namespace that containers can reach.
const resolver = "10.230.255.53"

// The header of a DNS message, RFC 1035 section 4.1.1.
const (
	headerSize   = 12
	isResponse   = 0x80 // in byte 2
	noSuchDomain = 3    // in byte 3
)

// serveNames answers that there is no such name. Docker's own resolver asks for what it does not know, and would let its
// clients wait for ten seconds if nobody answered; the host's resolver cannot be reached from the namespace.
func (d *Daemon) serveNames() error {
	return d.inside(func() error {
		conn, err := net.ListenPacket("udp", resolver+":53")
		if err != nil {
			return err
		}
		d.names = conn
		go func() {
			buf := make([]byte, 1500)
			for {
				n, from, err := conn.ReadFrom(buf)
				if err != nil {
					return // closed
				}
				if n >= headerSize {
					buf[2] |= isResponse
					buf[3] = noSuchDomain
					_, _ = conn.WriteTo(buf[:n], from)
				}
			}
		}()
		return nil
	})
}
