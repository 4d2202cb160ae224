package project

// inert are attributes of a service that compose-go takes as they stand when there is only one file: nothing is merged into
// them, they have one form, and they hold no paths. They are set aside while the rest goes through compose-go's phases,
// whose time is in comparing the path of every value with every rule. Mappings are inert only if no value is missing, which
// would have to be looked up in the environment.
var inert = map[string]bool{
	"image": true, "command": true, "entrypoint": true, "restart": true, "user": true, "working_dir": true, "hostname": true,
	"domainname": true, "container_name": true, "privileged": true, "tty": true, "stdin_open": true, "read_only": true,
	"init": true, "healthcheck": true, "stop_signal": true, "stop_grace_period": true, "mem_limit": true, "logging": true,
	"platform": true, "environment": true, "labels": true,
}

// setAside takes the inert attributes out of the services.
func setAside(config map[string]any) map[string]map[string]any {
	out := make(map[string]map[string]any)
	services, _ := config["services"].(map[string]any)
	for name, s := range services {
		service, ok := s.(map[string]any)
		if _, hooks := service["pre_start"]; !ok || hooks { // hooks are made of all the service's attributes
			continue
		}
		out[name] = make(map[string]any)
		for attribute, value := range service {
			if inert[attribute] && complete(attribute, value) {
				out[name][attribute] = value
				delete(service, attribute)
			}
		}
	}
	return out
}

// complete says that the value can be taken as it stands.
func complete(attribute string, value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case map[string]any:
		for _, e := range v {
			if e == nil {
				return false
			}
		}
	case []any:
		return attribute != "environment" && attribute != "labels"
	}
	return true
}

// putBack is the opposite of setAside.
func putBack(model map[string]any, aside map[string]map[string]any) {
	services, _ := model["services"].(map[string]any)
	for name, attributes := range aside {
		service, ok := services[name].(map[string]any)
		if !ok {
			service = make(map[string]any)
			services[name] = service
		}
		for attribute, value := range attributes {
			service[attribute] = value
		}
	}
}
