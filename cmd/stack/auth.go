package main

import (
	"bytes"
	"fmt"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/docker/docker/api/types/registry"
)

// dockerHub is the key under which docker login keeps the default registry's credentials.
const dockerHub = "https://index.docker.io/v1/"

// registryAuth is what docker login stored for the image's registry, as the Docker Engine API wants it, or "" if there
// is nothing. Credential helpers are asked.
func registryAuth(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", usageError{err}
	}
	auth, err := credentials(reference.Domain(named))
	if err != nil {
		return "", err
	}
	if auth.Username == "" && auth.Password == "" && auth.IdentityToken == "" && auth.RegistryToken == "" {
		return "", nil
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{
		Username: auth.Username, Password: auth.Password, Auth: auth.Auth, ServerAddress: auth.ServerAddress,
		IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken,
	})
}

// credentials is what docker login stored for the registry, which is named as in references.
func credentials(server string) (types.AuthConfig, error) {
	if server == "docker.io" {
		server = dockerHub
	}
	file, err := config.Load("")
	if err != nil {
		return types.AuthConfig{}, err
	}
	return file.GetAuthConfig(server)
}

// allCredentials is what docker login stored for all registries, as the content of a config.json of Docker's. Credential
// helpers are asked.
func allCredentials() ([]byte, error) {
	file, err := config.Load("")
	if err != nil {
		return nil, err
	}
	all, err := file.GetAllCredentials()
	if err != nil {
		return nil, fmt.Errorf("cannot read the registries' credentials for use_api_socket: %w", err)
	}
	var out bytes.Buffer
	err = (&configfile.ConfigFile{AuthConfigs: all}).SaveToWriter(&out)
	return out.Bytes(), err
}
