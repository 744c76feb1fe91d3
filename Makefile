# Everything a newcomer types: make demo, make test. The rest calls `setup` first.
PYTHON ?= python3
BIN := .venv/bin
MAKEFLAGS += --jobs=2
UV := $(shell command -v uv 2>/dev/null)

.PHONY: help setup demo test check format bench docs clean

help:  ## show the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

setup: .venv/.ready node_modules/.ready  ## Python packages into .venv, npm parts into node_modules

.venv/.ready: pyproject.toml constraints.txt hatch_build.py liqcli/lag/kernel.c
ifdef UV
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt -e '.[dev,fast]'
else
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fast]'
endif
	@touch $@

node_modules/.ready: package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup  ## a local chain with the real contracts, a crash, and the bot liquidating through it
	$(BIN)/liq run --sandbox --duration 60s

test: setup  ## all tests, on the real node, contracts and Redis-compatible server
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup  ## rewrite the code in the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## measure every figure of docs/figures.md
	$(BIN)/python -m benchmarks

docs: setup  ## regenerate the pages that are made from the code
	$(BIN)/python docs/generate.py

clean:  ## forget what setup made
	rm -rf .venv node_modules liqcli/lag/_kernel.abi3.so
