package spec

import (
	"github.com/docker/docker/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// checkModes refuses modes that are none.
func checkModes(host *container.HostConfig) error {
	switch {
	case !host.IpcMode.Valid():
		return invalid("IpcMode", "%q is no mode", host.IpcMode)
	case !host.PidMode.Valid():
		return invalid("PidMode", "%q is no mode", host.PidMode)
	case !host.UTSMode.Valid():
		return invalid("UTSMode", "%q is no mode", host.UTSMode)
	case !host.CgroupnsMode.Valid():
		return invalid("CgroupnsMode", "%q is no mode", host.CgroupnsMode)
	}
	return nil
}

// namespaces lists the namespaces that the container makes or joins. What is not listed is the host's.
func (in Input) namespaces() ([]specs.LinuxNamespace, error) {
	host := in.host()
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	for _, ns := range []struct {
		kind        specs.LinuxNamespaceType
		field, path string
		fromHost    bool
		fromOther   bool
	}{
		{specs.NetworkNamespace, "NetworkMode", in.Namespaces.Network, host.NetworkMode.IsHost(), host.NetworkMode.IsContainer()},
		{specs.UTSNamespace, "UTSMode", in.Namespaces.UTS, host.UTSMode.IsHost(), false},
		{specs.PIDNamespace, "PidMode", in.Namespaces.PID, host.PidMode.IsHost(), host.PidMode.IsContainer()},
		{specs.IPCNamespace, "IpcMode", in.Namespaces.IPC, host.IpcMode.IsHost(), host.IpcMode.IsContainer()},
		{specs.CgroupNamespace, "CgroupnsMode", "", !in.privateCgroupns(), false},
	} {
		switch {
		case ns.path != "":
			list = append(list, specs.LinuxNamespace{Type: ns.kind, Path: ns.path})
		case ns.fromOther && ns.kind != specs.NetworkNamespace: // the network's is handed over as a descriptor
			return nil, invalid(ns.field, "the namespace of the other container is not known")
		case !ns.fromHost:
			list = append(list, specs.LinuxNamespace{Type: ns.kind})
		}
	}
	return list, nil
}

// privateCgroupns says whether the container has a cgroup namespace: by default on version 2 only, as with Docker.
func (in Input) privateCgroupns() bool {
	if mode := in.host().CgroupnsMode; !mode.IsEmpty() {
		return mode.IsPrivate()
	}
	return in.CgroupV2
}
