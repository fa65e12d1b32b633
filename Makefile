# Two commands: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow check docs bench clean

demo: $(VENV)/.installed
	$(BIN)/veracast demo
	@echo "To go on: source $(BIN)/activate, then veracast --help"

# two workers on two cores: threads of their own would only wait for each other
test test-slow: export OMP_NUM_THREADS ?= 1

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests benchmarks examples docs/*.py docs/reference/*.py
	$(BIN)/ruff format --check src tests benchmarks examples docs/*.py docs/reference/*.py
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_ladder.py tests/test_mirror.py

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/reference/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/graph.py
	$(BIN)/python benchmarks/rating_speed.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	@echo "Installing into $(VENV): a minute or two, nothing is printed meanwhile"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml
	@echo "Installing into $(VENV) with all extras: several minutes, nothing is printed meanwhile"
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site
