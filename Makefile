# make demo    the main job on bundled data, then the table and the report's path
# make test    format check, lint, types, tests (the documentation is built strictly among them)
# make docs    the documentation, into site/
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: demo test check docs clean

demo: $(STAMP)
	$(BIN)/featbench run benchmarks/demo.toml --report results/demo.html
	@echo "next: source $(BIN)/activate, then featbench doctor; docs/index.md goes on from here"

# a process a core, each of one thread
test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --max-worker-restart 0

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/python tools/build_docs.py

# brought up to date when pyproject.toml changes; what an interrupted installation got is kept
$(STAMP): pyproject.toml
	@echo "installing into .venv: a few minutes, and a few GB (PyTorch is most of both)"
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --editable ".[dev,docs,zoo]"
	touch $(STAMP)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache dist build site
