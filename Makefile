# The commands of this repository; the work is done by scripts/.

# Right after rustup's installer, cargo isn't on the PATH of the shell that ran it.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help run test release bench fmt lint

help: ## Show the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, and start everything for a first request
	@scripts/install.sh run
	@scripts/run.sh $(ARGS)

test: ## Install what the tests need, then run lints and all tests
	@scripts/install.sh test
	@scripts/test.sh

release: ## Build for production, laid out for the ways that requests take
	@scripts/install.sh run
	@scripts/release.sh

bench: ## Install what is missing, measure the gateway beside bare proxies, and write docs/PERFORMANCE.md
	@scripts/install.sh bench
	@scripts/bench.sh $(ARGS)

fmt: ## Format the code
	@cargo fmt --all

lint: ## Check formatting, lints and documentation
	@scripts/lint.sh
