# make demo    the main job on real input, offline           make test    lint, types and the whole suite (SLOW=1: all of it)
# make native  build the fast engine, and say why it fails   make lint    format, lint, types and import rules alone
# make bench   the figures of benchmarks/                    make clean   remove everything that these commands made
#
# All that is installed goes into .venv and .tools in this folder. Needs Python 3.11 or newer and make, nothing else.

SHELL := /bin/sh
PYTHON ?= python3
JOBS ?= 2
SLOW ?=
TESTS ?= tests

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NATIVE := $(wildcard native/Cargo.toml native/build.rs native/src/*.rs native/src/*/*.rs)

# Pyright keeps the Node.js that it may need here too, and asks no server whether it is the newest.
export PYRIGHT_PYTHON_CACHE_DIR := $(CURDIR)/.tools/pyright
export PYRIGHT_PYTHON_ENV_DIR := $(CURDIR)/.tools/pyright/nodeenv
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test lint format bench native clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//; 1,3p' Makefile

demo: $(VENV)/.installed-demo
	@$(BIN)/openclaw demo $(ARGS)

test: lint
	$(BIN)/python -m pytest -n $(JOBS) $(if $(SLOW),,-m "not slow") $(TESTS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --config pyproject.toml

format: $(VENV)/.installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-test
	@set -e; for file in benchmarks/[!_]*.py; do \
	    name=$$(basename "$$file" .py); echo "== $$name"; $(BIN)/python -m "benchmarks.$$name"; \
	done

native: $(VENV)/.installed-demo
	@command -v cargo >/dev/null 2>&1 || { \
	    echo "make native: no \`cargo\` on the PATH: install a Rust toolchain (rustup, or your system's cargo and rustc)" >&2; \
	    exit 1; }
	@mkdir -p .tools; echo "building the native engine (the log goes to .tools/native.log) …"
	@rm -f openclaw/_native*.so
	@$(PIP) install --verbose --no-deps --editable . >.tools/native.log 2>&1 || true
	@$(BIN)/python -c 'import openclaw._native' 2>>.tools/native.log || { \
	    grep -nE '^ *(error|warning: build_rust|ImportError)' .tools/native.log >&2 || tail -n 30 .tools/native.log >&2; \
	    echo "make native: the build failed; the whole log is in .tools/native.log" >&2; exit 1; }
	@echo "the native engine is built; \`openclaw doctor\` shows it"

clean:
	rm -rf $(VENV) .tools build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache native/target
	rm -rf *.egg-info openclaw/_native*.so
	find openclaw tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	    echo "make: no \`$(PYTHON)\` on the PATH: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: \`$(PYTHON)\` is $$($(PYTHON) -V 2>&1), 3.11 or newer is needed: name one with make PYTHON=python3.12" >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "make: \`$(PYTHON)\` has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; \
	    exit 1; }
	$(PYTHON) -m venv $(VENV)

# An editable install: edits to the Python need no new one. Test dependencies include those of the demo.
$(VENV)/.installed-demo: $(BIN)/python pyproject.toml constraints.txt $(NATIVE)
	@echo "installing openclaw with its demo into $(VENV) …"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[demo]'
	@$(call engine)
	@touch $@

$(VENV)/.installed-test: $(BIN)/python pyproject.toml constraints.txt $(NATIVE)
	@echo "installing openclaw with its test dependencies into $(VENV) …"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	@$(call engine)
	@touch $@ $(VENV)/.installed-demo

define engine
$(BIN)/python -c 'import openclaw._native' 2>/dev/null \
    && echo "policy engine: native" \
    || echo "policy engine: regopy (for the fast one, install a Rust toolchain and run \`make native\`)"
endef
