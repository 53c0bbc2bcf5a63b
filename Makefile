# Everything a person types; each line's ## is its help. The environment is .venv, made from uv.lock alone.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
UV := .uv/run
RUN := .venv/bin
STAMP := .venv/.asof-env
PYTEST := $(RUN)/python -m pytest
# Tests share the cores. Slow ones go file by file: each file has its engines, and two of them keep two cores busy.
QUICK := $(PYTEST) -q -n auto --maxprocesses 4 -m "not slow and not long and not services and not cluster"
SLOW := $(PYTEST) -q -n 2 --dist loadfile -m "slow and not long and not services and not cluster"
LONG := $(PYTEST) -q -n auto --maxprocesses 4 -m "long and not services" --hypothesis-profile fresh
# What is imported is compiled once, so nothing may forbid its bytecode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env demo sql test quick slow test-long lint types walls fmt test-services test-services-long test-cluster bench clean

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

env: $(STAMP) ## Set up the environment in .venv, and nothing else

$(UV): .ci/bootstrap
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 13) else "Asof needs Python 3.11 or 3.12; %s is %s. Try: make PYTHON=python3.11" % (sys.executable, sys.version.split()[0]))'
	@bash .ci/bootstrap $(PYTHON)

$(STAMP): $(UV) uv.lock pyproject.toml
	@echo "Installing the environment into .venv from uv.lock …"
	@java=$$($(PYTHON) -I jobs/java.py --suitable || echo "--extra java"); \
	  $(UV) sync --quiet --frozen --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $$java
	@$(RUN)/python -m features.serving.warm & $(RUN)/python -m jobs.class_archive; wait
	@touch $@

demo: env ## Run a few days of everything on this machine (see .asof/demo)
	@$(RUN)/asof demo

sql: env ## Start a SQL server on Asof's tables for beeline and PyHive (docs/sql.md); asof stop ends it
	@$(RUN)/asof sql

test: env ## Run all tests that need nothing but PyPI: quick ones, then slow ones
	@$(QUICK)
	@$(SLOW)

quick: env ## Run the quick tests
	@$(QUICK)

slow: env ## Run the slow tests
	@$(SLOW)

test-long: env ## Run what make test leaves out: thousands of drawn cases more, wrong engines that take minutes to tell, and what takes long to measure
	@$(LONG)

lint: env ## Check style (ruff)
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check --diff features expectations jobs dags tests benchmarks

types: env ## Check types (mypy strict, pyright)
	@$(RUN)/pyright & other=$$!; mine=0; $(RUN)/mypy || mine=$$?; wait $$other && exit $$mine

walls: env ## Check which room imports which (import-linter)
	@$(RUN)/lint-imports

fmt: env ## Format and mend what can be mended
	@$(RUN)/ruff format features expectations jobs dags tests benchmarks
	@$(RUN)/ruff check --fix .

test-services: env ## Run the tests with real Redis and PostgreSQL; installs them from Debian where absent (root)
	@bash .ci/services $(PYTEST) -q -m "services and not long"

test-services-long: env ## Run those of them that take minutes: loads killed a hundred times, half an hour of load
	@bash .ci/services $(PYTEST) -q -m "services and long" --hypothesis-profile fresh

test-cluster: env ## Run the tests with a standalone Spark cluster on this machine
	@bash .ci/cluster $(PYTEST) -q -m cluster

bench: env ## Measure a peer: make bench DATA=folder PEER=duckdb-asof (benchmarks/peers.py lists them)
	@$(RUN)/python benchmarks/peers.py $(DATA) $(PEER)

clean: ## Stop what runs in the background and remove .asof and all caches; .venv stays
	@if [ -x $(RUN)/asof ]; then $(RUN)/asof stop; fi
	@rm -rf .asof .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist spark-warehouse metastore_db derby.log
	@find features expectations jobs dags tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
