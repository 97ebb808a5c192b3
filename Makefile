# The one list of commands. CI runs `check` and `test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The checked statements come from .sqlx. Without this, a DATABASE_URL for tests would make every build ask it.
export SQLX_OFFLINE ?= true

tools := target/tools/bin
with_postgres := cargo run --quiet --package falconer-dev-postgres --bin with-postgres --

# Prints a heading with the time since `make` started.
started := $(shell date +%s)
step = @s=$$(( $$(date +%s) - $(started) )); echo "-- $(1) ($${s} s)"

.PHONY: help
help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: setup
setup: ## Install what building and running needs and this machine lacks
	@scripts/setup

.PHONY: demo
demo: ## Show the main job end to end, with faults; flags go in ARGS="…"
	@scripts/setup
	@cargo run --quiet --package falconer -- demo $(ARGS)

.PHONY: dev
dev: ## Run everything on this machine, database included; flags go in ARGS="…"
	@scripts/setup
	@cargo run --quiet --package falconer -- dev $(ARGS)

.PHONY: check
check: ## Check format, lints, licences, spelling, documentation and the prepared statements
	@scripts/setup check
	$(call step,format)
	@cargo fmt --all --check
	$(call step,lints)
	@cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
	$(call step,licences and sources of dependencies)
	@$(tools)/cargo-deny --log-level warn check licenses bans sources
	$(call step,spelling)
	@$(tools)/typos --config scripts/typos.toml
	$(call step,prepared statements)
	@scripts/sqlx-prepare --check
	$(call step,documentation)
	@RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --locked

.PHONY: test
test: ## Run every test on a Postgres of their own; flags for the runner go in ARGS="…"
	@scripts/setup test
	@scripts/test $(ARGS)

.PHONY: storm
storm: ## Run two servers under load while everything fails, and print the counts; SEED=… MINUTES=… ARGS="…"
	@scripts/setup
	@cargo build --quiet --package falconer --package stories --bins
	@target/debug/storm --seed $(or $(SEED),1) --minutes $(or $(MINUTES),3) $(ARGS)

.PHONY: check-release
check-release: ## Check that a release build holds nothing that makes a build for tests fail
	@scripts/setup
	@scripts/check-release

.PHONY: bench
bench: ## Measure throughput on a durable Postgres of its own; flags go in ARGS="…"
	@scripts/setup
	@$(with_postgres) --durable -- cargo run --quiet --release --package falconer -- bench $(ARGS)

.PHONY: sqlx-prepare
sqlx-prepare: ## Write .sqlx anew after a change of a statement or of the schema
	@scripts/sqlx-prepare

.PHONY: clean-clone
clean-clone: ## Run CI's script on a fresh clone of HEAD with an empty environment
	@scripts/clean-clone
