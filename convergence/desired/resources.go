package desired

import (
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
)

func (b *builder) networks() {
	for _, key := range b.project.NetworkNames() {
		n := b.project.Networks[key]
		out := Network{Key: key, Name: n.Name, External: bool(n.External)}
		if !out.External {
			out.Create = network.CreateOptions{
				Driver:     n.Driver,
				EnableIPv4: n.EnableIPv4,
				EnableIPv6: n.EnableIPv6,
				IPAM:       ipam(n.Ipam),
				Internal:   n.Internal,
				Attachable: n.Attachable,
				Options:    n.DriverOpts,
			}
			b.checkLabels(n.Labels, "networks", key, "labels")
			out.Create.Labels = b.resourceLabels(n.Labels, n.CustomLabels, LabelNetwork, key)
			out.ComposeHash = composeNetworkHash(n)
			out.Create.Labels[LabelConfigHash] = out.ComposeHash
			out.Settings = networkSettings(out.Create)
			out.Hash = out.Settings.Hash()
			seal(out.Create.Labels, out.Hash, out.Settings)
		}
		b.out.Networks = append(b.out.Networks, out)
	}
}

func ipam(c types.IPAMConfig) *network.IPAM {
	if c.Driver == "" && len(c.Config) == 0 && len(c.Options) == 0 {
		return nil
	}
	out := &network.IPAM{Driver: c.Driver, Options: c.Options}
	for _, pool := range c.Config {
		out.Config = append(out.Config, network.IPAMConfig{
			Subnet: pool.Subnet, IPRange: pool.IPRange, Gateway: pool.Gateway, AuxAddress: pool.AuxiliaryAddresses,
		})
	}
	return out
}

func (b *builder) volumes() {
	for _, key := range b.project.VolumeNames() {
		v := b.project.Volumes[key]
		out := Volume{Key: key, Name: v.Name, External: bool(v.External)}
		if !out.External {
			out.Create = volume.CreateOptions{Name: v.Name, Driver: v.Driver, DriverOpts: v.DriverOpts}
			b.checkLabels(v.Labels, "volumes", key, "labels")
			out.Create.Labels = b.resourceLabels(v.Labels, v.CustomLabels, LabelVolume, key)
			out.ComposeHash = composeVolumeHash(v)
			out.Create.Labels[LabelConfigHash] = out.ComposeHash
			out.Settings = volumeSettings(out.Create)
			out.Hash = out.Settings.Hash()
			seal(out.Create.Labels, out.Hash, out.Settings)
		}
		b.out.Volumes = append(b.out.Volumes, out)
	}
}

func (b *builder) resourceLabels(user, custom types.Labels, keyLabel, key string) map[string]string {
	labels := make(map[string]string, len(user)+6)
	for name, value := range user {
		labels[name] = value
	}
	for name, value := range custom {
		labels[name] = value
	}
	labels[LabelProject] = b.project.Name
	labels[keyLabel] = key
	labels[LabelVersion] = composeVersion
	return labels
}

// seal adds what a later plan compares with.
func seal(labels map[string]string, hash string, settings Settings) {
	labels[LabelHash] = hash
	labels[LabelConfig] = settings.Pack()
}
