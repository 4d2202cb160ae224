// Package kernel makes bridges, virtual links and network namespaces. It speaks netlink itself where several requests
// can go in one system call, because that is most of what connecting a container costs, and it keeps no state except
// open descriptors: who needs which link is the caller's knowledge.
//
// Every link that it makes on the host carries the instance's number as its group, so that engines that share a host
// tell their links apart whatever the names.
package kernel
