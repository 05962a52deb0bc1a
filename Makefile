# `make demo` and `make test` are all a newcomer needs; both build the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow lint proto bench bench-plots clean

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[neural,sql,desk]" --group dev
	@touch $@

demo: $(STAMP)  ## train the bank and the platform on the real UCI data
	$(BIN)/veilscore demo

test: $(STAMP)  ## the whole default suite
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

test-slow: $(STAMP)  ## the runs that take longest, which the default suite leaves out
	$(BIN)/python -m pytest -m slow $(PYTEST_OPTIONS)

lint: $(STAMP)  ## everything CI checks beside the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -r federation clients server contracts iot simulations veilscore.py -c pyproject.toml
	$(BIN)/python -m federation.proto.generate --check

proto: $(STAMP)  ## regenerate the protobuf code
	$(BIN)/python -m federation.proto.generate

bench: $(STAMP)  ## the figures of docs/benchmarks.md
	$(BIN)/veilscore bench all

bench-plots: $(STAMP)  ## draw docs/scaling.png (ten minutes)
	$(BIN)/veilscore bench plots --folder docs

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
