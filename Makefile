# Everything is set up in .venv; nothing global is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# PyTorch is pinned: newer builds bring gigabytes of CUDA to machines without a GPU.
CONSTRAINTS := -c constraints.txt

.PHONY: demo test check mutants bench docs clean

demo: $(VENV)/.demo
	$(BIN)/poolwright demo --to demo

# Files of tests are dealt to processes, two by default: many tests use several cores themselves.
WORKERS ?= 2

test: check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Breaks the code on purpose, one promise after another, and sees whether the tests notice.
mutants: $(VENV)/.dev
	$(BIN)/python tools/mutants.py $(NAME)

# NAME="a b" runs these alone; CHECK=1 writes nothing and fails if a ratio is over 15 % worse than in RESULTS.md.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(if $(CHECK),--check) $(NAME)

docs: $(VENV)/.dev
	$(BIN)/python tools/make_reference.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "poolwright needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q $(CONSTRAINTS) -e '.[demo]'
	touch $@

# torch first and alone: other packages would pull another build of it.
$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q $(CONSTRAINTS) torch
	$(PIP) install -q $(CONSTRAINTS) -e '.[dev]'
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) demo build dist
