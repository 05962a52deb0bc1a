"""The partners run from Flower's app bundle, and the receivables' page says what the code does."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from flwr.cli.build import build_fab_from_disk

from clients.manifest import read_manifest
from clients.source_settings import ReceivablesSource
from contracts.features import NAMES, markdown_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "receivables.md"


def test_the_bundle_holds_what_the_partners_need(tmp_path: Path) -> None:
    """A node has the packages that we depend on, and of ours only what is in the bundle."""
    # Not the whole checkout: what npm and the compilers leave in it takes long to look through.
    for folder in ("federation", "clients", "server", "contracts", "iot", "simulations"):
        ignored = shutil.ignore_patterns("node_modules", "lib", "out", "cache", "__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / "source" / folder, ignore=ignored)
    for name in ("pyproject.toml", "LICENSE", "README.md", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / "source" / name)
    (tmp_path / "source" / "test_left_out.py").touch()  # every pattern must fit something
    with zipfile.ZipFile(io.BytesIO(build_fab_from_disk(tmp_path / "source"))) as bundle:
        names = bundle.namelist()
        bundle.extractall(tmp_path / "app")
    assert "contracts/index/schema.py" in names
    assert not [name for name in names if name.startswith("contracts/solidity/")]
    code = (
        "import clients.app, clients.receivables.table as table, contracts.features.reading;"
        "import clients.iot.table, iot.features.reading;"
        "print(table.__file__, contracts.features.reading.__file__, iot.features.reading.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "app",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(tmp_path / "app")) == 3


def test_the_page_has_the_definitions_and_a_manifest_that_is_read(tmp_path: Path) -> None:
    """Its table is the one that the command prints."""
    page = PAGE.read_text(encoding="utf-8")
    assert page.endswith(markdown_table())
    (manifest,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "manifest.toml").write_text(manifest)
    read = read_manifest(tmp_path / "manifest.toml")
    assert isinstance(read.source, ReceivablesSource)
    assert {spec.name for spec in read.features} <= set(NAMES)
