#!/usr/bin/env bash
# The checks of the contracts, one a word: install, lint, format, tests, gas, snapshot, artifacts,
# coverage, deep, mutants, slither, halmos. `make contracts` and its sisters call it.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
python=${PYTHON:-$root/.venv/bin/python}

machine=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
platform="$(uname -s | tr '[:upper:]' '[:lower:]')-$machine"
forge_folder=$PWD/node_modules/@foundry-rs/forge-$platform/bin
forge=$forge_folder/forge

heading() { echo "-- $*"; }

# Installs what package-lock.json lists, unless it lies there already.
install() {
  if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "Node.js with npm is missing: install Node.js 20 or later to compile and test the contracts." >&2
    return 2
  fi
  if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    heading "npm ci"
    # No package needs its install script: the compiler is WebAssembly, forge a binary in the package.
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
  fi
  if [ ! -x "$forge" ]; then
    # The lock lists the binaries of Linux on amd64; another platform gets its own beside them.
    npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
      "@foundry-rs/forge-$platform@1.7.1" "@foundry-rs/anvil-$platform@1.7.1" "@foundry-rs/cast-$platform@1.7.1"
  fi
}

lint() {
  heading "solhint, forge fmt"
  npm run --silent lint
  "$forge" fmt --check || { echo "Run 'make contracts-format'." >&2; return 1; }
}

format() {
  "$forge" fmt
}

# 16,384 calls for each invariant.
tests() {
  heading "forge test, profile ci"
  FOUNDRY_PROFILE=ci "$forge" test "$@"
}

# Writes snapshots/: gas of what the tests named *Gas* measure, each call its own transaction.
snapshot_into() {
  FOUNDRY_SNAPSHOTS=$1 FOUNDRY_GAS_SNAPSHOT_EMIT=true "$forge" test --isolate --match-contract Gas --color never
}

snapshot() {
  rm -rf snapshots
  snapshot_into snapshots
}

gas() {
  heading "gas snapshot"
  rm -rf out-gas
  mkdir out-gas
  snapshot_into out-gas/snapshots >out-gas/log 2>&1 || { cat out-gas/log >&2; return 1; }
  if ! diff -ru snapshots out-gas/snapshots; then
    echo "Gas is not what snapshots/ says; if that is meant, run 'make contracts-gas' and commit it." >&2
    return 1
  fi
}

artifacts() {
  heading "artifacts"
  (cd "$root" && "$python" -m contracts.build --check)
}

coverage() {
  heading "coverage of src/"
  rm -rf out-coverage
  mkdir -p out-coverage
  FOUNDRY_OUT=out-coverage/out FOUNDRY_CACHE_PATH=out-coverage/cache \
    "$forge" coverage --no-match-path "test/{invariants,halmos}/*" --report lcov --report-file out-coverage/lcov.info --exclude-tests \
    --color never >out-coverage/log 2>&1 || { cat out-coverage/log >&2; return 1; }
  (cd "$root" && "$python" -m contracts.solidity.coverage_bar contracts/solidity/out-coverage/lcov.info)
}

# 1,048,576 calls for each invariant, from a new seed, which a failure prints.
deep() {
  heading "forge test, profile deep"
  FOUNDRY_PROFILE=deep "$forge" test --match-contract '(EveryLetter|Hostile)Test' \
    --fuzz-seed "0x$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')" "$@"
}

mutants() {
  heading "mutants"
  (cd "$root" && "$python" -m contracts.solidity.mutate "$@")
}

# Makes the environment .venv-NAME of requirements-NAME.txt, unless it is there and newer.
environment() {
  local folder=$root/.venv-$1 wanted=requirements-$1.txt
  if [ ! -f "$folder/.installed" ] || [ "$wanted" -nt "$folder/.installed" ]; then
    heading "installing $1"
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
    touch "$folder/.installed"
  fi
}

slither() {
  environment slither
  heading "slither"
  rm -rf out-slither
  mkdir out-slither
  # Its own build folders: it begins with `forge clean`.
  PATH=$forge_folder:$root/.venv-slither/bin:$PATH FOUNDRY_OUT=out-slither/out FOUNDRY_CACHE_PATH=out-slither/cache \
    "$root/.venv-slither/bin/slither" . --config-file slither.config.json --json out-slither/findings.json \
    >out-slither/log 2>&1 || { cat out-slither/log >&2; return 1; }
  (cd "$root" && "$python" -m contracts.solidity.static_analysis contracts/solidity/out-slither/findings.json)
}

halmos() {
  environment halmos
  heading "halmos"
  PATH=$forge_folder:$root/.venv-halmos/bin:$PATH FOUNDRY_OUT=out-halmos/out FOUNDRY_CACHE_PATH=out-halmos/cache \
    "$root/.venv-halmos/bin/halmos" --forge-build-out out-halmos/out --match-contract Proof "$@"
}

case "${1:-}" in
  install | lint | format | tests | gas | snapshot | artifacts | coverage | deep | mutants | slither | halmos)
    step=$1
    shift
    install
    "$step" "$@"
    ;;
  *)
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
    ;;
esac
