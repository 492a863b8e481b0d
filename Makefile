# The main jobs, set-up included. `make rehearse` first; `make test` is what CI runs.
UNDERSTUDY = target/debug/understudy --cache target/understudy-cache
RUNBOOK    = runbooks/wordpress/runbook.toml
PLUGINS    = $(dir $(wildcard plugins/strategies/*/Cargo.toml plugins/providers/*/Cargo.toml))

.PHONY: rehearse test lint mutants plugins host setup clean-runs

## Rehearse: the wordpress service fails over to its backup zone and back, in a simulated world.
rehearse: plugins
	$(UNDERSTUDY) rehearse $(RUNBOOK) --procedure drill --scenario primary-lost

## Everything that can fail, with real servers on loopback.
test: setup plugins
	cargo test --workspace

## Take one guard or one move out of the strategies at a time, and print which rule catches it. WORDS="fence ttl" for some.
mutants:
	cargo test -p understudy --test mutants -- --all $(WORDS)

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

host:
	cargo build -p understudy

plugins: host
	$(UNDERSTUDY) plugin build $(PLUGINS)
	$(UNDERSTUDY) plugin lock $(RUNBOOK)

setup:
	.ci/setup

clean-runs:
	rm -rf .understudy/runs
