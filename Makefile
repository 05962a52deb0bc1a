# `make demo` and `make test` are all a newcomer needs; both build the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow lint proto bench bench-plots clean
.PHONY: contracts contracts-format contracts-gas contracts-deep contracts-coverage contracts-mutants contracts-slither contracts-halmos

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[neural,sql,desk,chain,documents,telemetry]" --group dev
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

# The contracts need Node.js 20 or later; using them from Python does not.
CHECK_CONTRACTS := PYTHON=$(CURDIR)/$(BIN)/python contracts/solidity/check.sh

contracts: $(STAMP)  ## lint, tests and invariants of the contracts, gas, artifacts
	$(CHECK_CONTRACTS) lint
	$(CHECK_CONTRACTS) tests
	$(CHECK_CONTRACTS) gas
	$(CHECK_CONTRACTS) artifacts

contracts-format: $(STAMP)  ## format the contracts and their tests
	$(CHECK_CONTRACTS) format

contracts-gas: $(STAMP)  ## write the gas snapshot anew
	$(CHECK_CONTRACTS) snapshot

contracts-deep: $(STAMP)  ## a million calls for each invariant (takes an hour or so)
	$(CHECK_CONTRACTS) deep

contracts-coverage: $(STAMP)  ## lines and branches of the contracts that the tests reach
	$(CHECK_CONTRACTS) coverage

contracts-mutants: $(STAMP)  ## small changes of the contracts that no test notices
	$(CHECK_CONTRACTS) mutants $(MUTANT_OPTIONS)

contracts-slither: $(STAMP)  ## static analysis
	$(CHECK_CONTRACTS) slither

contracts-halmos: $(STAMP)  ## symbolic proofs
	$(CHECK_CONTRACTS) halmos

clean:
	rm -rf contracts/solidity/node_modules contracts/solidity/cache contracts/solidity/out*
	rm -rf .venv-slither .venv-halmos
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
