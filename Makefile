PYTHON ?= python3
EPIC ?=
ARGS ?=
# A file's name is data: neither make nor a shell may expand it. ARGS are words for the shell to split.
override EPIC := $(value EPIC)
export EPIC

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
PINS := pyproject.toml constraints.txt
RESULTS := test-results
ENGINE_NEXT := .engine-next
BENCH_PEERS := .bench-peers
PACKAGES := examples/package-tests
DOWNLOADS := $(PACKAGES)/downloads/complete
COVERED := ParallelTaskScheduler.get_ready_tasks ParallelTaskScheduler.execute_epic

# make hands a SIGTERM on to its child, which `exec` makes the program itself: a shell around it would end alone.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test test-engines test-examples test-gvisor chaos check lint images engine engine-next bench bench-peers clean venv epic-given

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: epic-given $(RUNTIME) ## Run an epic: make run EPIC=path/to/epic.yaml [ARGS='--fail-fast …']
	@$(BIN)/python -m dockersched.enginesetup --quiet >&2
	@exec $(BIN)/dockersched run "$$EPIC" $(ARGS)

epic-given:
	@test -n "$$EPIC" || { echo "dockersched: which epic? make run EPIC=examples/quickstart.yaml" >&2; exit 2; }

test: lint ## Lint, types and every test against a real engine, with coverage
	@$(BIN)/python -m dockersched.enginesetup
	@$(BIN)/dockersched images
	@mkdir -p $(RESULTS) && rm -f $(RESULTS)/*.xml $(RESULTS)/.coverage* $(RESULTS)/coverage.json
	@status=0; \
	$(BIN)/pytest --cov --cov-report=term --cov-report=json:$(RESULTS)/coverage.json \
	    --junitxml=$(RESULTS)/all.xml $(ARGS) || status=$$?; \
	$(BIN)/python tools/junit_subset.py $(RESULTS)/all.xml tests.test_parallel_task_scheduler \
	    $(RESULTS)/parallel-scheduler.xml || status=1; \
	$(BIN)/python tools/check_function_coverage.py $(RESULTS)/coverage.json $(COVERED) || status=1; \
	exit $$status

test-engines: $(DEVELOPMENT) engine-next ## The tests that need an engine, on the system's and on the next: a table
	@$(BIN)/python -m dockersched.enginesetup --quiet
	@$(BIN)/dockersched images
	@exec $(BIN)/python -m tools.test_engines $(ENGINE_NEXT)/bin -- $(ARGS)

test-examples: $(DEVELOPMENT) $(DOWNLOADS) ## Every example, with eight packages' own tests in sandboxes (downloads them once)
	@$(BIN)/python -m dockersched.enginesetup --quiet
	@$(BIN)/dockersched images
	@$(BIN)/pytest -q tests/engine/test_examples.py
	@exec $(BIN)/python -m tools.test_package_tests $(ARGS)

chaos: $(DEVELOPMENT) ## Every fault on a real engine, a good half hour: a table [ARGS='daemons starts …']
	@$(BIN)/python -m dockersched.enginesetup --quiet
	@$(BIN)/dockersched images
	@exec $(BIN)/python -m tests.faults.chaos $(ARGS)

test-gvisor: $(DEVELOPMENT) ## The attacks of the abuse suite once more, under gVisor
	@$(BIN)/python -m dockersched.enginesetup --quiet
	@$(BIN)/dockersched images
	@exec $(BIN)/python -m tools.test_gvisor $(ARGS)

check: lint ## Lint, types, layers and the tests that need no engine
	@exec $(BIN)/pytest -q -m "not engine" $(ARGS)

lint: $(DEVELOPMENT)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "dockersched: to format: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@layers=$$($(BIN)/lint-imports) || { echo "$$layers"; exit 1; }

images: $(RUNTIME) ## Build the sandbox images (only what has changed)
	@$(BIN)/python -m dockersched.enginesetup --quiet
	@exec $(BIN)/dockersched images $(ARGS)

engine: $(RUNTIME) ## Find a container engine; on Debian or Ubuntu as root, install and start one
	@$(BIN)/python -m dockersched.enginesetup

engine-next: ## Unpack the next Debian release's engine for tests into .engine-next/
	@tools/engine_next.sh $(ENGINE_NEXT)

bench: $(DEVELOPMENT) ## Measure: floor, shapes, peers, scale, many at once, events, files, order [ARGS='floor --rounds 3']
	@$(BIN)/python -m dockersched.enginesetup --quiet
	@exec $(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(DEVELOPMENT) ## Install what the bench compares with into .bench-peers/, and say what cannot be had
	@tools/bench_peers.sh "$(PYTHON)" $(BENCH_PEERS)

clean: ## Remove the virtual environment, caches and test results
	rm -rf $(VENV) $(RESULTS) $(ENGINE_NEXT) $(BENCH_PEERS) $(PACKAGES)/downloads build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(DEVELOPMENT)

$(RUNTIME): $(PINS)
	@tools/venv.sh "$(PYTHON)" $(VENV) .
	@touch $@

$(DEVELOPMENT): $(PINS)
	@tools/venv.sh "$(PYTHON)" $(VENV) ".[dev]"
	@touch $@ $(RUNTIME)

$(DOWNLOADS): $(PACKAGES)/wheels.txt $(PACKAGES)/sdists.txt | $(RUNTIME)
	@echo "dockersched: downloading what $(PACKAGES) tests" >&2
	@$(PACKAGES)/fetch.sh $(BIN)/python
