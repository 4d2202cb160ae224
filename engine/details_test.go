package engine

import (
	"reflect"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

// What is put into a list comes out of it, and a list without it says so.
func TestDetailsOfAList(t *testing.T) {
	pids := int64(7)
	host := &container.HostConfig{NetworkMode: "container:a", IpcMode: "container:b", PidMode: "container:c", RestartPolicy: container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 2}, Resources: container.Resources{
		Memory: 1, MemorySwap: -1, MemoryReservation: 2, NanoCPUs: 3, CPUShares: 4, CPUPeriod: 5, CPUQuota: 6, CpusetCpus: "0", CpusetMems: "1", PidsLimit: &pids, BlkioWeight: 8,
	}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	user := map[string]string{"of": "the user"}
	c := container.Summary{NetworkSettings: &container.NetworkSettingsSummary{}}
	if _, ok := DetailsOf(&c); ok {
		t.Error("details of a container without any")
	}
	c.HostConfig.Annotations = DetailsFrom(host, at, 9).Annotate(user)
	d, ok := DetailsOf(&c)
	if !ok || !reflect.DeepEqual(d.Host(), host) || !d.StartedAt.Equal(at) || d.RestartCount != 9 {
		t.Errorf("%v %+v", ok, d)
	}
	if len(user) != 1 || c.HostConfig.Annotations["of"] != "the user" {
		t.Errorf("the user's annotations: %v, in the list %v", user, c.HostConfig.Annotations)
	}
}
