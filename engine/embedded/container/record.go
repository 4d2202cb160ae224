// Package container keeps the records of containers: what each was made from, what state it is in, and under which
// names it is found.
//
// A Record is plain data in Docker's terms. A Container is a record in use: it serialises the operations on one
// container, stores changes, and wakes those who wait for them. The Registry finds containers by name and ID. What a
// request and an image together ask for (Merge, PlanMounts), and what a record looks like to the API's users (Inspect,
// Summary, Selection), are pure functions. The state machines are in the packages lifecycle and health, the copying of
// files in files. Nothing here runs a process.
package container

import (
	"maps"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine/embedded/container/health"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

// Record is everything that is known about a container. What its pointers, maps and slices refer to is never changed
// once the record is shared; a change replaces it.
type Record struct {
	ID      string
	Name    string // without a slash
	Created time.Time

	Image    string // the image's ID
	Snapshot string // the image's layers
	Platform string // operating system

	Config *container.Config // the request completed by the image
	Host   *container.HostConfig

	// Endpoints are the networks by name, as they were asked for, with their IDs. Live are the same with addresses, for
	// those that the container is connected to while it is active.
	Endpoints map[string]*network.EndpointSettings
	Live      map[string]*network.EndpointSettings `json:",omitempty"`
	Mounts    []Mount

	State  lifecycle.State
	Health *health.State `json:",omitempty"` // nil without a health check
	Ports  nat.PortMap   `json:",omitempty"` // as published, while the container is active
	Joined string        `json:",omitempty"` // ID of the container whose network it shares
}

// Mount is a directory or a file that a container gets from elsewhere.
type Mount struct {
	Type        mount.Type // bind, volume or tmpfs
	Name        string     `json:",omitempty"` // the volume
	Source      string     `json:",omitempty"` // of a bind: path on the host
	Destination string     // in the container, clean and absolute
	ReadOnly    bool       `json:",omitempty"`
	Mode        string     `json:",omitempty"` // the options as the user wrote them
	Propagation mount.Propagation

	Anonymous      bool `json:",omitempty"` // the volume was made for this container
	CreateSource   bool `json:",omitempty"` // of a bind: make the directory if there is none
	NonRecursive   bool `json:",omitempty"` // leave mounts below the source out
	ShallowRO      bool `json:",omitempty"` // ReadOnly does not hold for mounts below the source
	NoCopy         bool `json:",omitempty"` // do not fill an empty volume from the image
	Subpath        string
	VolumeOptions  *mount.VolumeOptions `json:",omitempty"` // for making the volume
	TmpfsOptions   *mount.TmpfsOptions  `json:",omitempty"`
	InheritedFrom  string               `json:",omitempty"` // ID of the container that volumes_from named
	ForceRecursive bool                 `json:",omitempty"` // fail where ReadOnly cannot hold for mounts below
}

// Rules are what the user laid down about the container's end.
func (r *Record) Rules() lifecycle.Rules {
	return lifecycle.Rules{Restart: r.Host.RestartPolicy, AutoRemove: r.Host.AutoRemove}
}

// ShortID is the first 12 digits of the ID.
func (r *Record) ShortID() string { return r.ID[:min(12, len(r.ID))] }

// Group names the containers that share a shim: those of one Compose project, or all that are in none.
func (r *Record) Group() string {
	if project := r.Config.Labels["com.docker.compose.project"]; project != "" {
		return project
	}
	return "containers"
}

// Attributes are what events say about the container: its labels, its name and its image.
func (r *Record) Attributes(more ...string) map[string]string {
	attributes := make(map[string]string, len(r.Config.Labels)+2+len(more)/2)
	for k, v := range r.Config.Labels {
		attributes[k] = v
	}
	attributes["name"], attributes["image"] = r.Name, r.Config.Image
	for i := 0; i+1 < len(more); i += 2 {
		attributes[more[i]] = more[i+1]
	}
	return attributes
}

// Networks are the endpoints as they are now, by the network's name.
func (r *Record) Networks() map[string]*network.EndpointSettings {
	now := make(map[string]*network.EndpointSettings, len(r.Endpoints))
	maps.Copy(now, r.Endpoints)
	maps.Copy(now, r.Live)
	return now
}

// UsesVolume reports whether the container mounts the volume.
func (r *Record) UsesVolume(name string) bool {
	for _, m := range r.Mounts {
		if m.Type == mount.TypeVolume && m.Name == name {
			return true
		}
	}
	return false
}
