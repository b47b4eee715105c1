# `make run` and `make test` do all the set-up themselves, on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# `make run PORT=…`; a variable of the environment that happens to be called so does not count.
DEV_PORTS = $(if $(filter command line,$(origin PORT)),--port $(PORT) --plc-port $$(($(PORT) - 1)))
PACKAGES := repo database actor_store sequencer identity pds

# Compiled modules are kept: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test lint collected format hostile soak conformance bench endpoints messages clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $@

run: $(VENV)/.ready ## Start a PDS with its own PLC directory on port 2583, or PORT=…
	$(BIN)/pds dev $(DEV_PORTS)

test: $(VENV)/.ready ## Run every check: ruff, mypy and all tests
	@$(MAKE) --no-print-directory --jobs=2 lint collected
	$(BIN)/pytest -n auto

# pytest compiles the tests, which each of its processes would do for itself. It tells of errors later.
collected: $(VENV)/.ready
	@$(BIN)/pytest --collect-only -qq > /dev/null || true

lint: $(VENV)/.ready ## Check formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.ready ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

hostile: $(VENV)/.ready ## Attack the server with hostile clients, at length
	HOLDFAST_HOSTILE=long HOLDFAST_SOAK=long $(BIN)/pytest tests/e2e/hostile

soak: $(VENV)/.ready ## Load, lose and restore a server that is replicated, at length
	HOLDFAST_SOAK=long $(BIN)/pytest tests/e2e/test_litestream_yml.py tests/e2e/test_standby.py \
	  tests/e2e/test_restored_replica.py tests/pds/replication

conformance: $(VENV)/.ready ## Run the tests beside the real reference PDS, which this installs
	$(BIN)/python -m tests.reference.install
	$(BIN)/pytest -m conformance -n auto --dist loadfile

bench: $(VENV)/.ready ## Measure Holdfast beside the reference PDS
	$(BIN)/python -m benchmarks

endpoints: $(VENV)/.ready ## Run the tests of the server and write docs/endpoints.md
	$(BIN)/python -m tests.endpoints

messages: $(VENV)/.ready ## Collect the texts of pages and mails for translation
	$(BIN)/python -m tests.messages

clean: ## Remove what make has created
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
