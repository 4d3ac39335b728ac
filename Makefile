# A newcomer needs python3 (3.11 or newer) and one of: make demo, make test.
# Another interpreter: PYTHON=python3.12 make test

PYTHON ?= python3
VENV ?= .venv

PY := $(VENV)/bin/python
# The stamps carry the interpreter's name: naming another one sets up anew.
RUNTIME := $(VENV)/.runtime-$(notdir $(PYTHON))
DEV := $(VENV)/.dev-$(notdir $(PYTHON))

step = @printf '\n== %s\n' "$(1)"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format lint types coverage docs-check bench-smoke clean

help: ## Show this list
	@echo 'make demo and make test need nothing but Python 3.11+. All targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

demo: $(RUNTIME) ## Fetch a web page through the virtual module and show the AT dialogue
	@$(PY) -m aiobc9x demo

test: $(DEV) ## Run all tests
	@$(PY) -m pytest -n 2

check: $(DEV) ## Everything a change must pass: format, lint, types, tests, benchmarks
	$(call step,format)
	@$(PY) -m ruff format --check .
	$(call step,lint)
	@$(PY) -m ruff check .
	$(call step,types)
	@$(PY) -m mypy
	@$(MAKE) --no-print-directory coverage bench-smoke
	$(call step,all good)

format: $(DEV) ## Reformat the code and mend what the linter can
	@$(PY) -m ruff check --quiet --fix-only .
	@$(PY) -m ruff format .

lint: $(DEV) ## Look for mistakes and style
	@$(PY) -m ruff check .

types: $(DEV) ## Check the types, tests and benchmarks included
	@$(PY) -m mypy

# wire and core first, by their own tests alone: all lines and branches must be reached.
coverage: $(DEV) ## Run all tests and measure what they reach
	$(call step,tests of wire and core: 100 % of lines and branches)
	@$(PY) -m pytest -q -n 2 --cov --cov-report= tests/wire tests/core
	@$(PY) -m coverage report --skip-covered --show-missing --fail-under=100 \
	    --include='aiobc9x/wire/*,aiobc9x/core/*'
	$(call step,all tests (layers and examples of the docs among them))
	@$(PY) -m pytest -n 2 --cov --cov-report=term:skip-covered

docs-check: $(DEV) ## Run the examples of README.md and docs/
	@$(PY) -m pytest -q tests/test_docs.py

bench-smoke: $(DEV) ## Run each benchmark once, briefly
	@$(PY) -m benchmarks --smoke

clean: ## Remove what the other targets made
	rm -rf $(VENV) .ci-venv build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf ./*.egg-info

$(RUNTIME): extras =
$(DEV): extras = [dev]
$(RUNTIME) $(DEV): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'Python 3.11 or newer is needed. Is there another one? Try: make PYTHON=python3.12 ...' >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo 'This Python lacks venv. On Debian and Ubuntu: sudo apt install python3-venv' >&2; \
	    exit 1; }
	@version='import sys; print(sys.version_info[:2])'; \
	    [ "$$($(PY) -c "$$version" 2>/dev/null)" = "$$($(PYTHON) -c "$$version")" ] || \
	    { echo 'Setting up $(VENV) ...'; $(PYTHON) -m venv --clear $(VENV); }
	@log=$$($(PY) -m pip install --disable-pip-version-check --editable '.$(extras)' 2>&1) || \
	    { echo "$$log" >&2; exit 1; }
	@touch $@
