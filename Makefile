# Every target works as the first command on a machine with Python >= 3.11 and make: it builds .venv itself,
# with uv where that is installed, else with pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
SECONDS ?= 0
SUITE ?= resilience cache database requests
# One more than there are cores: half of the time a test waits, for a server or a timeout.
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")

.DEFAULT_GOAL := help
.PHONY: help demo test torture check format bench docs lock clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.examples ## start the podcast service and all it depends on, and watch a bad day (SECONDS=60 ends by itself)
	@PYTHONPATH=examples $(BIN)/python -m podcasts.demo --seconds $(SECONDS)

test: $(VENV)/.dev ## run the tests (ARGS="-k breaker" to choose)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

torture: $(VENV)/.dev ## run the long tests under load, and property tests on examples never tried
	@HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -n auto --dist worksteal tests/unit $(ARGS)
	@$(BIN)/python -m pytest -m torture $(ARGS)

check: $(VENV)/.dev ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/python -m pytest -q tests/architecture

format: $(VENV)/.dev ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)-bench/.bench ## measure Seawall and its peers in one run (ARGS="--quick" SUITE=cache)
	@for suite in $(SUITE); do PYTHONPATH=src $(VENV)-bench/bin/python -m bench.$$suite $(ARGS) || exit; done
	@$(VENV)-bench/bin/python -m bench.readme

docs: $(VENV)/.dev ## write docs/reference/operations.md anew
	$(BIN)/python docs/generate.py

lock: ## choose the versions anew
	uv lock --upgrade
	uv export --quiet --frozen --all-extras --all-groups --no-emit-project --no-hashes --no-annotate --no-header -o constraints.txt

clean: ## remove what was built
	rm -rf $(VENV) $(VENV)-bench build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# $(call install,folder,group): an environment with Seawall and one dependency group, versions as locked.
ifdef UV
define install
	@echo "Building $(1) with uv ..."
	@UV_PROJECT_ENVIRONMENT=$(1) uv sync --quiet --frozen --python $(PYTHON) --group $(2)
	@touch $@
endef
else
define install
	@echo "Building $(1) with pip ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Seawall needs Python 3.11 or newer, got " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . --group $(2)
	@touch $@
endef
endif

$(VENV)/.examples: pyproject.toml constraints.txt | python
	$(call install,$(VENV),examples)
$(VENV)/.dev: pyproject.toml constraints.txt | python
	$(call install,$(VENV),dev)
	@touch $(VENV)/.examples
$(VENV)-bench/.bench: pyproject.toml constraints.txt | python
	$(call install,$(VENV)-bench,bench)

.PHONY: python
python:
	@command -v $(PYTHON) >/dev/null || { echo "Seawall needs Python 3.11 or newer; none found as '$(PYTHON)'"; exit 1; }
