// Package nft keeps the firewall rules of one engine: a table of rules that never change, and sets and maps whose
// elements are the networks and the published ports. Adding a network or a port adds elements and no rule, in one
// transaction, so the cost does not grow with what is there, and a packet's way does not get longer.
//
// What the rules do, chain by chain, is in testdata/rules.golden in the words of the nft program.
package nft
