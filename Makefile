# make demo    the main job on bundled data, then the table and the report's path
# make test    format check, lint, types, tests
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: demo test check clean

demo: $(STAMP)
	$(BIN)/featbench run benchmarks/demo.toml --report results/demo.html

test: check
	$(BIN)/pytest

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# made anew when pyproject.toml changes, else reused
$(STAMP): pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev,zoo]"
	touch $(STAMP)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache dist build
