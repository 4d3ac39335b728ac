# A newcomer needs python3 (3.11 or newer) and one of: make demo, make test.
# Another interpreter: PYTHON=python3.12 make test

PYTHON ?= python3
VENV ?= .venv

PY := $(VENV)/bin/python
# The stamps carry the interpreter's name: naming another one sets up anew.
RUNTIME := $(VENV)/.runtime-$(notdir $(PYTHON))
DEV := $(VENV)/.dev-$(notdir $(PYTHON))
# Environments of their own, beside that one: what they install changes what the tests see.
SNIFFIO := $(VENV)-sniffio/.test-$(notdir $(PYTHON))
LOWEST := $(VENV)-lowest/.test-$(notdir $(PYTHON))
AIOMQTT := $(VENV)-aiomqtt/.test-$(notdir $(PYTHON))

step = @printf '\n== %s\n' "$(1)"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check check-sniffio check-lowest check-aiomqtt format lint types coverage \
    compiled docs docs-check bench-smoke clean

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
	@$(PY) -m codespell_lib
	$(call step,types)
	@$(PY) -m mypy
	@$(MAKE) --no-print-directory coverage compiled docs bench-smoke
	$(call step,all good)

# What no other package takes part in is the same in every environment: once is enough.
ALONE := wire core sim model reliability fuzz benchmarks distribution
without = $(foreach folder,$(1),--ignore=tests/$(folder))

# anyio, httpcore and others ask sniffio which async library runs, where it is installed.
check-sniffio: $(SNIFFIO) ## Run the tests in which other packages take part beside sniffio and trio
	$(call step,tests with other packages beside sniffio and trio)
	@$(<D)/bin/python -m pytest -q -n 2 $(call without,$(ALONE) cli trace)

check-lowest: $(LOWEST) ## Run the same with the lowest versions that pyproject.toml allows
	$(call step,tests with other packages in their lowest versions)
	@$(<D)/bin/python -m pytest -q -n 2 $(call without,$(ALONE))

# Of aiomqtt 3 there are pre-releases only, so nothing else depends on this.
check-aiomqtt: $(AIOMQTT) ## Run the tests of aiomqtt 3, which needs an environment of its own
	$(call step,tests with a pre-release of aiomqtt 3)
	@$(<D)/bin/python -m pytest -q tests/clients/test_aiomqtt3.py

format: $(DEV) ## Reformat the code and mend what the linter can
	@$(PY) -m ruff check --quiet --fix-only .
	@$(PY) -m ruff format .

lint: $(DEV) ## Look for mistakes, style and spelling
	@$(PY) -m ruff check .
	@$(PY) -m codespell_lib

types: $(DEV) ## Check the types, tests and benchmarks included
	@$(PY) -m mypy

# wire and core first, by their own tests alone: all lines and branches must be reached. Nothing
# can be measured in C, so that the framer is the one in Python here.
coverage: export AIOBC9X_EXTENSION = 0
coverage: $(DEV) ## Run all tests and measure what they reach
	$(call step,tests of wire and core: 100 % of lines and branches)
	@$(PY) -m pytest -q -n 2 --cov --cov-report= tests/wire tests/core
	@$(PY) -m coverage report --skip-covered --show-missing --fail-under=100 \
	    --include='aiobc9x/wire/*,aiobc9x/core/*'
	$(call step,all other tests (layers and examples of the docs among them); what all of them reach)
	@$(PY) -m pytest -n 2 --cov --cov-append --cov-report=term:skip-covered $(call without,wire core)

compiled: export AIOBC9X_EXTENSION = 1
compiled: $(DEV) ## Compile the framer and run the tests of wire and core with it
	$(call step,tests of wire and core with the compiled framer)
	@if [ "$$CI" ] || $${CC:-cc} --version >/dev/null 2>&1; then \
	    $(PY) setup.py -q build_ext --inplace && $(PY) -m pytest -q -n 2 tests/wire tests/core; \
	else echo 'skipped: no C compiler on this machine'; fi

docs: $(DEV) ## Build the site in build/site; a warning is an error
	$(call step,site)
	@$(PY) -m docs.website build/site

docs-check: $(DEV) ## Run the examples of README.md and docs/
	@$(PY) -m pytest -q tests/test_docs.py

bench-smoke: $(DEV) ## Run each benchmark once, briefly
	@$(PY) -m benchmarks --smoke

clean: ## Remove what the other targets made
	rm -rf aiobc9x/wire/*.so aiobc9x/wire/*.pyd aiobc9x/wire/*.stamp
	rm -rf $(VENV) $(VENV)-* .ci-venv .ci-venv-* build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf ./*.egg-info

# What is installed into each, by the Python of that environment. Groups are new in pip 25.1; the pip
# that a Python brings is as old as that Python.
EXTRAS := cli,http,metrics
python = $(@D)/bin/python
pip = $(python) -m pip install --disable-pip-version-check
grouped = $(pip) --upgrade 'pip>=25.1' && $(pip)
$(RUNTIME): install = $(pip) --editable '.[cli]'
$(DEV): install = $(grouped) --group dev --editable '.[$(EXTRAS),plot]'
$(SNIFFIO): install = $(grouped) --group test --editable '.[$(EXTRAS)]' sniffio trio
# uv takes the lowest versions of what pyproject.toml names for them.
$(LOWEST): install = $(pip) uv && $(python) -m uv pip install --python $(python) \
    --resolution lowest-direct --group test --editable '.[$(EXTRAS)]'
# It asks for mqtt5 0.5, of which there are no wheels; with 0.6 it is the same, and needs no Rust.
$(AIOMQTT): install = $(grouped) --group test --editable '.[$(EXTRAS)]' && \
    $(pip) --no-deps aiomqtt==3.0.0a1 mqtt5==0.6.0
$(RUNTIME) $(DEV) $(SNIFFIO) $(LOWEST) $(AIOMQTT): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'Python 3.11 or newer is needed. Is there another one? Try: make PYTHON=python3.12 ...' >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo 'This Python lacks venv. On Debian and Ubuntu: sudo apt install python3-venv' >&2; \
	    exit 1; }
	@version='import sys; print(sys.version_info[:2])'; \
	    [ "$$($(@D)/bin/python -c "$$version" 2>/dev/null)" = "$$($(PYTHON) -c "$$version")" ] || \
	    { echo 'Setting up $(@D) ...'; $(PYTHON) -m venv --clear $(@D); }
	@log=$$({ $(install); } 2>&1) || { echo "$$log" >&2; exit 1; }
	@touch $@
