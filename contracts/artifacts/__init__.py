"""The compiled contracts, committed: all that Python needs of them, without Node.js or compiler.

One JSON file a contract, written by `python -m contracts.build`. Each says which sources it was
made of (SHA-256 of every file, OpenZeppelin's too), by which compiler, with which settings; the
build is reproducible, so anybody can compare.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from contracts.errors import ContractsError

_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,63}", re.ASCII)
_CODE = re.compile(r"0x(?:[0-9a-f]{2})+", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOST_BYTES = 4 * 1024 * 1024
_MOST_BRACKETS = 10_000
_ABI_KINDS = frozenset({"constructor", "error", "event", "fallback", "function", "receive"})
_REBUILD = "rebuild it with `python -m contracts.build`"


class ArtifactError(ContractsError):
    """There is no such compiled contract, or its file is not what the build writes."""


@dataclass(frozen=True)
class Artifact:
    """One compiled contract.

    Attributes:
        name: the contract's name.
        abi: its interface, as the compiler gives it.
        bytecode: creation code, without constructor arguments.
        deployed_bytecode: code on chain, zeros where immutables are written at deployment.
        immutables: (first byte, bytes) of each of those gaps, in order; to compare code on chain.
        compiler: version of solc, such as '0.8.37+commit.f401782d'.
        openzeppelin: version of the library.
        settings: compiler settings that the code hangs on.
        sources: path of each source file within the Foundry project → SHA-256 of its bytes, in hex.
        source_hash: `source_hash(sources)`, 64 hex digits.
    """

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    deployed_bytecode: bytes
    immutables: tuple[tuple[int, int], ...]
    compiler: str
    openzeppelin: str
    settings: Mapping[str, Any]
    sources: Mapping[str, str]
    source_hash: str


def source_hash(sources: Mapping[str, str]) -> str:
    """One hash over all files: SHA-256, in hex, of lines 'hash  path' in the order of the paths.

    It is what `sha256sum` of those files, sorted by path, gives to `sha256sum`.
    """
    lines = "".join(f"{sources[path]}  {path}\n" for path in sorted(sources))
    return hashlib.sha256(lines.encode()).hexdigest()


def names() -> tuple[str, ...]:
    """Names of all compiled contracts, in order."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in files if name.endswith(".json")))


def load(name: str) -> Artifact:
    """The compiled contract `name`.

    Raises:
        ArtifactError: it is not among `names()`, or its file is damaged.
    """
    if _NAME.fullmatch(name) is None or name not in names():
        known = ", ".join(names()) or "none"
        raise ArtifactError(f"There is no compiled contract {name[:80]!r}; there are {known}.")
    file = resources.files(__name__).joinpath(f"{name}.json")
    with file.open("rb") as stream:
        return parse(name, stream.read(_MOST_BYTES + 1))


def parse(name: str, content: bytes) -> Artifact:
    """The artifact of the contract `name` from its file's content, every field checked.

    Raises:
        ArtifactError: the content is not what the build writes for `name`.
    """
    if len(content) > _MOST_BYTES:
        raise ArtifactError(
            f"contracts/artifacts/{name}.json: more than {_MOST_BYTES:,} bytes; {_REBUILD}."
        )
    try:
        # With py-evm loaded Python's limit of recursion is so high that deep JSON ends the process.
        if content.count(b"[") + content.count(b"{") > _MOST_BRACKETS:
            raise ValueError("too many brackets")
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            f"contracts/artifacts/{name}.json: not the JSON of an artifact; {_REBUILD}."
        ) from error
    fields = _Fields(name, document if isinstance(document, dict) else {})
    if fields.text("contractName") != name:
        raise fields.wrong("contractName", f"'{name}'")
    sources = fields.sources()
    if fields.text("sourceHash") != source_hash(sources):
        raise fields.wrong("sourceHash", "the hash of 'sources'")
    deployed = fields.code("deployedBytecode")
    return Artifact(
        name=name,
        abi=fields.abi(),
        bytecode=fields.code("bytecode"),
        deployed_bytecode=deployed,
        immutables=fields.immutables(len(deployed)),
        compiler=fields.text("compiler"),
        openzeppelin=fields.text("openzeppelin"),
        settings=fields.mapping("settings"),
        sources=sources,
        source_hash=source_hash(sources),
    )


@dataclass(frozen=True)
class _Fields:
    """An artifact's JSON object, read field by field."""

    name: str
    document: dict[str, Any]

    def wrong(self, key: str, right: str) -> ArtifactError:
        """The error for one field."""
        return ArtifactError(
            f"contracts/artifacts/{self.name}.json: '{key}' must be {right}; {_REBUILD}."
        )

    def text(self, key: str) -> str:
        """A short text that is not empty."""
        value = self.document.get(key)
        if not isinstance(value, str) or not 0 < len(value) <= 200:
            raise self.wrong(key, "a short text")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """An object."""
        value = self.document.get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return value

    def code(self, key: str) -> bytes:
        """Code in lower-case hex, at least a byte."""
        value = self.document.get(key)
        if not isinstance(value, str) or _CODE.fullmatch(value) is None:
            raise self.wrong(key, "0x and whole bytes in lower-case hex")
        return bytes.fromhex(value[2:])

    def sources(self) -> dict[str, str]:
        """Paths and hashes, at least one."""
        value = self.mapping("sources")
        if not value or not all(
            isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in value.values()
        ):
            raise self.wrong("sources", "paths and their SHA-256 in 64 hex digits")
        return value

    def abi(self) -> tuple[Mapping[str, Any], ...]:
        """The interface's entries."""
        value = self.document.get("abi")
        if not isinstance(value, list) or not all(
            isinstance(entry, dict)
            and isinstance(entry.get("type"), str)
            and entry["type"] in _ABI_KINDS
            for entry in value
        ):
            raise self.wrong("abi", "a list of functions, events and errors")
        return tuple(value)

    def immutables(self, size: int) -> tuple[tuple[int, int], ...]:
        """Gaps within `size` bytes of code, in order and apart."""
        value = self.document.get("immutables")
        if not isinstance(value, list):
            raise self.wrong("immutables", "a list")
        gaps, end = [], 0
        for gap in value:
            if not (
                isinstance(gap, list)
                and len(gap) == 2
                and all(type(number) is int for number in gap)
                and end <= gap[0] < gap[0] + gap[1] <= size
            ):
                raise self.wrong("immutables", "[first byte, bytes] in order, within the code")
            end = gap[0] + gap[1]
            gaps.append((gap[0], gap[1]))
        return tuple(gaps)
