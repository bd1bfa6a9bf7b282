# The two commands: `make demo` and `make test`. Each does all the set-up by itself.

VENV := .venv
BIN := $(VENV)/bin

# A Python 3.12 or newer: on PATH, or in pyenv. The first that works wins.
FIND_PYTHON = for python in $(PYTHON) python3.12 python3.13 python3.14 python3 \
	$$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.1[2-9]*/bin/python3 2>/dev/null); do \
	if $$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; \
	then echo $$python; break; fi; done

.PHONY: demo test unit lint format fuzz bench attacks scenarios docs engine clean setup

demo: setup
	$(BIN)/bidi demo

test: setup
	$(BIN)/pytest

# What needs no other environment: the quick round while working.
unit: setup
	$(BIN)/pytest -m "not sdk and not node and not vllm and not docker and not gpu and not soak" -q

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m sagemaker_bidi.contract.ledger --check docs/contract.md

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A minute for each fuzz target; FUZZ_SECONDS changes it.
FUZZ_SECONDS ?= 60
fuzz: setup
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[fuzz]' --constraint constraints.txt
	$(BIN)/python -m tests.fuzz.codec -max_total_time=$(FUZZ_SECONDS) -verbosity=0
	$(BIN)/python -m tests.fuzz.connection -max_total_time=$(FUZZ_SECONDS) -verbosity=0

# Everything of docs/performance.md, side by side in one run; best on a quiet machine.
bench: setup
	$(BIN)/python -m benchmarks

# What others notice of 39 attacks: writes docs/attacks.md; best on a quiet machine.
attacks: setup
	$(BIN)/python -m benchmarks.attacks

# The catalogue through the SDK: the evidence of its pages, docs/scenarios/facts.json, made anew.
scenarios: setup
	$(BIN)/python -m tests.scenarios.facts

# The site, in build/site. A broken link or anchor, or a page that is not in the navigation, fails.
docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "built: build/site/index.html"

$(VENV)/.docs: $(VENV)/.ready
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[docs]' --constraint constraints.txt
	@touch $@

# The real vLLM engine for the CPU, in an environment of its own: 430 MB to fetch.
engine: setup
	$(BIN)/python -m sagemaker_bidi_fixtures.engine.environment

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml client/pyproject.toml bridge/pyproject.toml constraints.txt
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo "error: no Python 3.12 or newer on PATH or in pyenv; install one (with venv), or say make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	echo "setting up $(VENV) with $$($$python --version)"; \
	$$python -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable ./client --editable ./bridge --editable '.[dev]' --constraint constraints.txt
	@touch $@

clean:
	rm -rf $(VENV) .venv-3.13 .sdk tests/node/node_modules .bench .vllm .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
