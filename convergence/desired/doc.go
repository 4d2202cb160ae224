// Package desired computes what a project wants, in the engine's terms: networks, volumes and containers as they are to
// be created, with the labels that Docker Compose gives them, and a hash by which a running one is compared.
//
// It is pure: the same project gives the same bytes. The content of configs and secrets is handed in.
//
// Every attribute of the Compose model is in the table of support.go: carried out, read for a cluster (a
// warning), or refused with the file, line and column. An attribute that the table does not know is refused, so that
// nothing is ignored in silence.
package desired
