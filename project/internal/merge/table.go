package merge

import (
	"strings"
	"sync"

	"stackrun.dev/stack/project/internal/tree"
)

// rule is how the values at a path are merged. The zero rule is how all others are.
type rule struct {
	merge func(*merger, *tree.Value, *tree.Value, *step) *tree.Value
	key   func(*tree.Value) string // of a list's items that are unique: of two with the same key the later one stays
	paths bool                     // a list's items say paths: the same text in another directory is something else
}

// rules are all that the specification has beyond the general one, by path; "*" is any key. Those of services hold for
// jobs too.
var rules = map[string]rule{
	"configs.*.labels":       {merge: keyValues},
	"networks.*.ipam.config": {merge: pools},
	"networks.*.labels":      {merge: keyValues},
	"secrets.*.labels":       {merge: keyValues},
	"volumes.*.labels":       {merge: keyValues},

	"services.*.annotations":                    {merge: keyValues},
	"services.*.blkio_config.device_read_bps":   {key: device},
	"services.*.blkio_config.device_read_iops":  {key: device},
	"services.*.blkio_config.device_write_bps":  {key: device},
	"services.*.blkio_config.device_write_iops": {key: device},
	"services.*.build.additional_contexts":      {merge: keyValues},
	"services.*.build.args":                     {merge: keyValues},
	"services.*.build.extra_hosts":              {merge: sequences},
	"services.*.build.labels":                   {merge: keyValues},
	"services.*.build.no_cache_filter":          {merge: sequences},
	"services.*.build.tags":                     {key: whole},
	"services.*.build.ulimits.*":                {merge: limits},
	"services.*.cap_add":                        {key: whole},
	"services.*.cap_drop":                       {key: whole},
	"services.*.command":                        {merge: replace},
	"services.*.configs":                        {key: mounted("/")},
	"services.*.depends_on":                     {merge: dependencies},
	"services.*.deploy.labels":                  {merge: keyValues},
	"services.*.develop.watch":                  {paths: true},
	"services.*.devices":                        {key: target},
	"services.*.dns":                            {merge: sequences, key: whole},
	"services.*.dns_opt":                        {merge: sequences, key: name},
	"services.*.dns_search":                     {merge: sequences, key: whole},
	"services.*.entrypoint":                     {merge: replace},
	"services.*.env_file":                       {merge: sequences, key: envFile},
	"services.*.environment":                    {merge: keyValues},
	"services.*.expose":                         {key: whole},
	"services.*.extra_hosts":                    {merge: sequences},
	"services.*.healthcheck.test":               {merge: replace},
	"services.*.label_file":                     {merge: sequences, paths: true},
	"services.*.labels":                         {merge: keyValues},
	"services.*.links":                          {key: whole},
	"services.*.logging":                        {merge: logging},
	"services.*.networks.*.aliases":             {key: whole},
	"services.*.networks.*.link_local_ips":      {key: whole},
	"services.*.ports":                          {key: port},
	"services.*.profiles":                       {key: whole},
	"services.*.secrets":                        {key: mounted("/run/secrets")},
	"services.*.sysctls":                        {merge: keyValues},
	"services.*.tmpfs":                          {merge: sequences, key: tmpfs},
	"services.*.ulimits.*":                      {merge: limits},
	"services.*.volumes":                        {key: target},
}

// step is a place in the tree of rules.
type step struct {
	rule
	keys map[string]*step
	any  *step
}

// below is the step that a key leads to, nil if there are no rules for it and for what is below it.
func (s *step) below(key string) *step {
	if s == nil {
		return nil
	}
	if next := s.keys[key]; next != nil {
		return next
	}
	return s.any
}

// table is the rules as a tree.
var table = sync.OnceValue(func() *step {
	root := &step{}
	for path, r := range rules {
		root.add(path, r)
		if rest, ok := strings.CutPrefix(path, "services."); ok {
			root.add("jobs."+rest, r)
		}
	}
	return root
})

func (s *step) add(path string, r rule) {
	for key := range strings.SplitSeq(path, ".") {
		s = s.grow(key)
	}
	s.rule = r
}

// grow is the step of exactly that key, made if there was none.
func (s *step) grow(key string) *step {
	if key == "*" {
		if s.any == nil {
			s.any = &step{}
		}
		return s.any
	}
	if s.keys == nil {
		s.keys = make(map[string]*step)
	}
	if s.keys[key] == nil {
		s.keys[key] = &step{}
	}
	return s.keys[key]
}
