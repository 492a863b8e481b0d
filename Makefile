# The main jobs, set-up included. `make rehearse` first; `make test` is what CI runs.
UNDERSTUDY = target/debug/understudy --cache target/understudy-cache
RUNBOOK    = runbooks/wordpress/runbook.toml
LAB        = /tmp/understudy-lab
# What is built before plugins are. Beside the lab the host's dependencies have the features that the whole workspace gives them,
# and the largest of them is not compiled twice.
BUILT      = -p understudy
BOTH       = -p understudy -p understudy-lab
PLUGINS    = $(dir $(wildcard plugins/strategies/*/Cargo.toml plugins/providers/*/Cargo.toml))

.PHONY: rehearse test lab zones lint mutants plugins host kubernetes mysql setup clean-runs

## Rehearse: the wordpress service fails over to its backup zone and back, in a simulated world.
rehearse: plugins
	$(UNDERSTUDY) rehearse $(RUNBOOK) --procedure drill --scenario primary-lost

## Everything that can fail, with real servers on loopback. An error that ends a test stands by itself: its backtrace is that of
## the machinery of async, pages of it.
test: export RUST_BACKTRACE = 0
test: setup
	$(MAKE) -j2 kubernetes mysql plugins BUILT="$(BOTH)"
	cargo test --workspace

## The game-day: there and back on two zones of real servers under traffic, and the table of what came of it.
lab: setup
	$(MAKE) -j2 kubernetes plugins BUILT="$(BOTH)"
	target/debug/understudy-lab game-day

## The same two zones to try things on, up until Ctrl-C: it says what to lay over the runbook.
zones: setup kubernetes
	$(MAKE) host BUILT="$(BOTH)"
	target/debug/understudy-lab up --kubernetes $(LAB)

## Take one guard or one move out of the strategies at a time, and print which rule catches it. WORDS="fence ttl" for some.
mutants:
	cargo test --workspace --test mutants -- --all $(WORDS)

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

host:
	cargo build $(BUILT)

plugins: host
	$(UNDERSTUDY) plugin build $(PLUGINS)
	$(UNDERSTUDY) plugin lock $(RUNBOOK)

## The programs of a Kubernetes control plane for tests/lab: found, or built once and kept (ten minutes or so).
kubernetes:
	tests/lab/kubernetes/build

## A MySQL server for tests/lab: found, or fetched once and kept (a minute or so).
mysql:
	tests/lab/mysql/build

setup:
	.ci/setup

clean-runs:
	rm -rf .understudy/runs
