// Package bench measures what stack promises to cost, beside the peers that are installed, in the same run.
//
// Each row is one piece of work, such as "up -d of ten services". A row is run in turn on stack and on the peer, so that both see the same
// machine, and its medians and their ratio are printed. Absolute times mean little on a busy machine; ratios mean more.
//
// Rows about files that are watched stand alone, because docker-compose 1.29 does not watch. They give the 99th percentile too, and those
// on Docker are stack driving the peer's Docker. What it takes for many files depends on the disk most of all, so it is measured on the
// one that is there and on one with a journal, as most machines have; that one counts.
//
// The peer is Docker Compose (COMPOSE_BIN, else docker-compose) on Docker (DOCKER_HOST, else a dockerd that is started for the run).
package bench
