# Everything one does with Muster in this checkout. `make` alone lists it.
# A bare machine needs Python 3.11 and make: uv comes from PyPI into .venv, and everything else from the lock.

PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bin/uv
RUN := $(VENV)/bin/python -m
PACKAGES := libs/contracts/muster_contracts libs/journal/muster_journal libs/cluster/muster_cluster \
	libs/simcluster/simcluster libs/chassis/muster_chassis services/submitter/muster_submitter \
	services/scheduler/muster_scheduler services/status/muster_status services/integrations/muster_integrations \
	cli/muster_cli local/muster_local
LOCKED := uv.lock $(wildcard pyproject.toml libs/*/pyproject.toml services/*/pyproject.toml cli/pyproject.toml local/pyproject.toml)

export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(VENV)

.DEFAULT_GOAL := help
.PHONY: help up test lint check bench sim nightly test-compose generate clean

help: ## list what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

up: $(VENV)/.up ## start the whole system on this machine; Ctrl-C stops it
	@$(VENV)/bin/muster up $(ARGS)

test: $(VENV)/.dev ## run all tests that take seconds to minutes
	@$(RUN) pytest -q -m "not nightly and not compose" $(ARGS)

lint: $(VENV)/.dev ## check format, style, types and imports
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/mypy $(PACKAGES)

check: lint test ## everything a change must pass

bench: $(VENV)/.dev ## measure every figure beside its ceiling, and show the run in docs/performance.md
	@$(RUN) benchmarks $(ARGS)

sim: $(VENV)/.dev ## replay worlds under faults: make sim SEED=7 (or WORLDS=100)
	@$(RUN) pytest -q tests/simulation $(if $(SEED),--seed $(SEED)) $(if $(WORLDS),--worlds $(WORLDS)) $(ARGS)

nightly: $(VENV)/.dev ## the long runs
	@$(RUN) pytest -q -m "not compose" $(ARGS)

test-compose: $(VENV)/.dev ## build docker-compose.yml and drive it; needs a Docker engine
	@$(RUN) pytest -q -m compose $(ARGS)

generate: $(VENV)/.dev ## write again what is generated: schemas, lifecycle page
	@$(RUN) muster_contracts.schemas
	@$(RUN) muster_status.core.lifecycle > docs/lifecycle.md

clean: ## remove the environment and caches; the data in .muster stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Muster needs Python 3.11 or later; name one with PYTHON=…")'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

$(VENV)/.up: $(UV) $(LOCKED)
	@echo "Installing Muster into $(VENV) …"
	@$(UV) sync --quiet --frozen --all-packages --no-dev --inexact
	@touch $@

$(VENV)/.dev: $(UV) $(LOCKED)
	@echo "Installing Muster and its tools into $(VENV) …"
	@$(UV) sync --quiet --frozen --all-packages
	@touch $@ $(VENV)/.up
