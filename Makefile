# The two commands: `make demo` shows the whole way once, `make test` checks everything.
# Each sets up what it needs: only Python 3.11+ and make are expected.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
KEEP ?= 1
UV := $(or $(shell command -v uv 2>/dev/null),$(wildcard $(HOME)/.local/bin/uv),.tools/bin/uv)
# Left to itself uv takes any Python that fits, and fetches one where none does.
CHOSEN := $(if $(filter-out python3,$(PYTHON)),--python $(PYTHON))
# Bytecode is compiled once at installation: every Dagster run is a process of its own and starts twice as fast.
SYNC := UV_COMPILE_BYTECODE=1 $(UV) sync $(CHOSEN) --frozen --inexact --all-extras
RUN := .venv/bin

.PHONY: help demo test check format up down python install install-dev

help: ## what can be done
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; $(PYTHON) is %d.%d. Say which one with make PYTHON=/path/to/python3" % sys.version_info[:2])'

.tools/bin/uv: | python
	@$(PYTHON) -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv \
		|| { rm -rf .tools; echo 'uv could not be installed: $(PYTHON) -m venv and a package index are needed' >&2; exit 1; }

install: python $(filter .tools/bin/uv,$(UV))
	@$(SYNC) --no-default-groups --quiet

install-dev: python $(filter .tools/bin/uv,$(UV))
	@$(SYNC) --quiet

demo: install ## the whole way once, then five questions; stays up until Ctrl-C (KEEP=0: stops again)
	@$(RUN)/switchdesk demo $(if $(filter 0,$(KEEP)),--no-keep)

test: check ## lint, types, import rules and all tests, on the real engines
	@$(RUN)/pytest

check: install-dev ## lint, types and import rules
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/pyright
	@$(RUN)/lint-imports --no-cache

format: install-dev ## write the code the way `check` wants it
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

up: install ## start the local stack in the background
	@$(RUN)/switchdesk up

down: ## stop the local stack
	@$(RUN)/switchdesk down
