# Two commands do everything on a fresh machine: `make demo` and `make test`. Both set up their own environment.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .setup/installed

.PHONY: demo test check lint types contracts bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   set up, run search_spaces/quick.yaml, write the report"
	@echo "make test   set up, then lint, types, import contracts and tests: what CI runs"
	@echo "make bench  the numbers that the README quotes"
	@echo "make clean  remove the environment and the demo's results"

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Set PYTHON=..."; exit 2; }
	@echo "setting up .venv (a few minutes, once)"
	@mkdir -p .setup
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-script-location -e '.[dev]' \
		> .setup/log 2>&1 || { tail -n 20 .setup/log; exit 1; }
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/sweep run search_spaces/quick.yaml --store results/quick
	@$(BIN)/sweep report --store results/quick --out results/quick-report > /dev/null

test check: lint types contracts
	@$(BIN)/python -m pytest

lint: $(STAMP)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "run: $(BIN)/ruff format ."; exit 1; }

types: $(STAMP)
	@$(BIN)/mypy --no-error-summary

contracts: $(STAMP)
	@$(BIN)/lint-imports > .setup/contracts 2>&1 || { cat .setup/contracts; exit 1; }

bench: $(STAMP)
	@$(BIN)/python benchmarks/overhead.py
	@$(BIN)/python benchmarks/lm_step.py
	@$(BIN)/python benchmarks/diffusion_step.py

clean:
	@rm -rf .venv .setup results
