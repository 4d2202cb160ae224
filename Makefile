# make build   bin/stack, one file
# make demo    the reddit example, up and answering
# make test    every test, those on real containers included (they need root; without it a line says which are left out)
# make fuzz    random env files, variables and projects, FUZZTIME for each; make test does so too
# make bench   the time and memory it takes, side by side with Docker and Compose where they are installed
# make docs    the pages of docs that are made from the program
# make clean   what the others made in this folder

SHELL   := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
STACK   := $(CURDIR)/bin/stack
SHIM    := engine/embedded/runtime/binary/stack-shim
CACHE   := $(CURDIR)/.cache
FUZZTIME ?= 60s
BASE    := $(CACHE)/debian-bookworm-slim.tar

# What each target needs from Debian. Nothing is installed that is there already.
BUILD_PACKAGES := gcc libc6-dev libseccomp-dev pkg-config git ca-certificates
DEMO_PACKAGES  := mmdebstrap curl
TEST_PACKAGES  := busybox-static docker.io docker-compose docker-registry skopeo iptables nftables iproute2 procps jq e2fsprogs

.PHONY: build
build: build-packages $(SHIM)
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/stack ./cmd/stack

# The shim's program goes into the folder from which the engine embeds it. Go's build cache decides what is compiled again.
.PHONY: $(SHIM)
$(SHIM): build-packages
	CGO_ENABLED=1 go build -trimpath -tags "seccomp netgo osusergo static_build" -ldflags "-s -w -extldflags -static" -o $@.new ./engine/embedded/shim/stack-shim
	cmp -s $@.new $@ && rm $@.new || mv $@.new $@

.PHONY: demo
demo: build demo-packages demo-images examples/reddit/post_db/post_db
	cd examples/reddit && $(STACK) up -d --wait
	@cd examples/reddit && echo "reddit answers at http://127.0.0.1:$$($(STACK) port ui 9292 | sed 's/.*://')"

# The base image comes from a registry where one answers; elsewhere it is made from Debian's packages.
.PHONY: demo-images
demo-images: build
	@$(STACK) image inspect debian:bookworm-slim >/dev/null 2>&1 || $(STACK) image pull debian:bookworm-slim \
	  || { echo "no registry has the base image; it is made from Debian's packages" \
	    && $(MAKE) --no-print-directory $(BASE) && $(STACK) image import $(BASE) debian:bookworm-slim; }

$(BASE): | demo-packages
	mkdir -p $(CACHE)
	mmdebstrap --quiet --variant=minbase $(foreach d,doc man locale info,--dpkgopt='path-exclude=/usr/share/$(d)/*') bookworm $@.tmp.tar
	mv $@.tmp.tar $@

examples/reddit/post_db/post_db: $(wildcard examples/reddit/post_db/*.go examples/reddit/post_db/go.*)
	cd examples/reddit/post_db && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o post_db .

# test/e2e waits more than it computes, and longer than all others together: it begins first, and the others run beside it.
.PHONY: test
test: build test-packages demo-packages $(BASE) examples/reddit/post_db/post_db
	@[ "$$(id -u)" = 0 ] || echo "not root: tests on real containers, networks and dockerd are left out"
	go vet ./...
	go run ./test/leftovers record $(CACHE)/before.json
	STACK_TEST_BINARY=$(STACK) STACK_TEST_BASE_IMAGE=$(BASE) go test -timeout 30m ./test/e2e ./...
	$(MAKE) --no-print-directory fuzz
	go run ./test/leftovers compare $(CACHE)/before.json

# One after the other: each takes all processors. With STACK_FUZZ_ORACLE=1 what they make up is held against compose-go too.
.PHONY: fuzz
fuzz: build-packages
	test/host/fuzz ./project/internal/variables FuzzInterpolation $(FUZZTIME)
	test/host/fuzz ./project/internal/variables FuzzDotenv $(FUZZTIME)
	test/host/fuzz ./project FuzzLoad $(FUZZTIME)

.PHONY: bench
bench: build test-packages
	STACK_TEST_BINARY=$(STACK) go test -count=1 -timeout 60m -v -run TestBudget ./bench -measure $(BENCH)

.PHONY: docs
docs: build-packages
	go test ./cmd/stack ./convergence/desired ./project/lint ./watch/rules -run AreDocumented -update

.PHONY: clean
clean:
	rm -rf bin $(CACHE) $(SHIM) examples/reddit/post_db/post_db

# Installs what is missing. Debian starts a service when it installs one; a policy refuses that for the while.
define install
	missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done | xargs); \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then echo "please install: $$missing"; exit 1; fi; \
	  test/host/install-packages $$missing; \
	fi
endef

.PHONY: build-packages demo-packages test-packages
build-packages:
	@$(call install,$(BUILD_PACKAGES))
demo-packages:
	@$(call install,$(DEMO_PACKAGES))
test-packages:
	@$(call install,$(TEST_PACKAGES))
