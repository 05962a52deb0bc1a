"""Compiles the contracts and writes their artifacts, or checks that the committed ones are fresh.

Usage: python -m contracts.build [--check]

It needs Node.js and what `npm ci` installs in contracts/solidity. The compiler runs with the
settings of foundry.toml, over the same list of files each time; equal sources give equal artifacts
on every machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.artifacts import source_hash
from contracts.errors import ContractsError

CONTRACTS = (
    "AuditAnchor",
    "FinancingPool",
    "MockDepositToken",  # for tests and demonstrations only
    "OrderFinancing",
    "ReceivableRegistry",
    "ScoreAttestation",
)
ARTIFACTS = Path(__file__).resolve().parent / "artifacts"
PROJECT = Path(__file__).resolve().parent / "solidity"
FORGE_VERSION = "1.7.1"
LARGEST_CODE = 24_576
"""Bytes of code that a chain takes of one contract (EIP-170)."""
LARGEST_CREATION = 49_152
"""Bytes of creation code that a chain takes (EIP-3860)."""


class BuildError(ContractsError):
    """The contracts can't be compiled here, or what comes out can't be deployed."""


def forge_path() -> Path:
    """The forge that npm installed for this machine.

    Raises:
        BuildError: Node.js, the compiler or forge is missing; the sentence says what to run.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise BuildError(
            "Node.js with npm is missing: install Node.js 20 or later; it is needed to compile the "
            "contracts, not to use them."
        )
    if not (PROJECT / "node_modules" / "solc" / "package.json").is_file():
        raise BuildError("The compiler is missing: run `npm ci` in contracts/solidity.")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"@foundry-rs/forge-{platform.system().lower()}-{machine}"
    forge = PROJECT / "node_modules" / package / "bin" / "forge"
    if not forge.is_file():
        raise BuildError(
            f"forge is missing: run `npm install --no-save {package}@{FORGE_VERSION}` in "
            "contracts/solidity."
        )
    return forge


def source_of(name: str) -> Path:
    """The source file of a contract, relative to the Foundry project.

    Raises:
        BuildError: there is none, or there are two.
    """
    found = sorted(
        path.relative_to(PROJECT)
        for folder in ("src", "test")
        for path in (PROJECT / folder).rglob(f"{name}.sol")
    )
    if len(found) != 1:
        where = ", ".join(map(str, found)) or "nowhere"
        raise BuildError(
            f"{name}.sol must be in one place below contracts/solidity; it is {where}."
        )
    return found[0]


def compile_contracts(scratch: Path) -> dict[str, str]:
    """Compile into `scratch`: contract's name → text of its artifact.

    Raises:
        BuildError: something is missing, does not compile, or is too large for a chain.
    """
    forge = forge_path()
    sources = {name: source_of(name) for name in CONTRACTS}
    command = [str(forge), "build", "--force", "--color", "never"]
    command += ["--out", str(scratch / "out"), "--cache-path", str(scratch / "cache")]
    command += [str(path) for path in sorted(set(sources.values()))]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FOUNDRY_", "DAPP_"))
    }
    # A fixed command over this project's own files.
    done = subprocess.run(  # nosec B603
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"The contracts do not compile:\n{done.stdout}{done.stderr}".rstrip())
    library = json.loads(
        (PROJECT / "node_modules/@openzeppelin/contracts/package.json").read_text()
    )
    texts = {}
    for name, source in sources.items():
        compiled = scratch / "out" / source.name / f"{name}.json"
        if not compiled.is_file():
            raise BuildError(f"contracts/solidity/{source} must have a contract {name}.")
        output = json.loads(compiled.read_text())
        document = artifact_document(name, output, library["version"])
        texts[name] = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return texts


def artifact_document(name: str, output: Mapping[str, Any], openzeppelin: str) -> dict[str, object]:
    """The artifact of one contract from what forge wrote about it.

    Raises:
        BuildError: the contract is abstract, needs linking, or is too large for a chain.
    """
    code, deployed = output["bytecode"], output["deployedBytecode"]
    if code["object"] == "0x":
        raise BuildError(f"{name} has no code: it is abstract or an interface.")
    if code.get("linkReferences"):
        libraries = ", ".join(sorted(code["linkReferences"]))
        raise BuildError(
            f"{name} must be linked with {libraries}; make the library's functions internal."
        )
    for kind, largest, size in (
        ("code", LARGEST_CODE, len(deployed["object"]) // 2 - 1),
        ("creation code", LARGEST_CREATION, len(code["object"]) // 2 - 1),
    ):
        if size > largest:
            raise BuildError(
                f"{name} has {size:,} bytes of {kind}; a chain takes {largest:,} of one contract."
            )
    metadata = output["metadata"]
    settings = dict(metadata["settings"])
    del settings["compilationTarget"]
    sources = {
        path: hashlib.sha256((PROJECT / path).read_bytes()).hexdigest()
        for path in metadata["sources"]
    }
    gaps = sorted(
        [gap["start"], gap["length"]]
        for places in deployed.get("immutableReferences", {}).values()
        for gap in places
    )
    return {
        "abi": output["abi"],
        "bytecode": code["object"],
        "compiler": metadata["compiler"]["version"],
        "contractName": name,
        "deployedBytecode": deployed["object"],
        "immutables": gaps,
        "openzeppelin": openzeppelin,
        "settings": settings,
        "sourceHash": source_hash(sources),
        "sources": sources,
    }


def stale(fresh: Mapping[str, str]) -> list[str]:
    """Names whose committed artifact is not `fresh`'s text, and of artifacts of no contract."""
    committed = {path.stem: path.read_text("utf-8") for path in ARTIFACTS.glob("*.json")}
    return sorted(name for name in {*fresh, *committed} if fresh.get(name) != committed.get(name))


def write(fresh: Mapping[str, str]) -> None:
    """Write the artifacts, and remove those of contracts that are no more."""
    for path in ARTIFACTS.glob("*.json"):
        if path.stem not in fresh:
            path.unlink()
    for name, text in fresh.items():
        unfinished = ARTIFACTS / f"{name}.json.new"
        unfinished.write_text(text, "utf-8")
        unfinished.replace(ARTIFACTS / f"{name}.json")


def main() -> int:
    """Write the artifacts, or compare with --check (exit status 1 on a difference)."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m contracts.build", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="compare with the committed ones only")
    check = parser.parse_args().check
    try:
        with (
            tempfile.TemporaryDirectory() as scratch,
            Console(stderr=True).status("Compiling the contracts"),
        ):
            fresh = compile_contracts(Path(scratch))
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    differing = stale(fresh)
    listed = ", ".join(f"{name}.json" for name in differing)
    if check and differing:
        sys.stderr.write(
            f"contracts/artifacts: the sources compile to something else than {listed}; run "
            "`python -m contracts.build`.\n"
        )
        return 1
    if check:
        sys.stderr.write(f"{len(fresh)} artifacts are what the sources compile to.\n")
        return 0
    write(fresh)
    sys.stderr.write(f"contracts/artifacts: {listed or 'nothing changed'}.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
