"""The federation that the scoring desk is measured with: the UCI borrowers at three parties.

30,000 real card holders (`uci.py`); that a bank and two partners hold ten, six and seven of their
features is simulated, and so are the ids. A few borrowers are not known at each partner.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess  # nosec B404
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from federation.errors import InputError
from simulations.uci import (
    BANK_COLUMNS,
    BILL_COLUMNS,
    DATA_NOTE,
    LABEL_COLUMN,
    PAYMENT_COLUMNS,
    STATUS_COLUMNS,
    fixed_split,
    load_uci,
)

BANK, PARTNERS = "bank", ("platform", "receivables")
TRAINING = "exact"
CATEGORIES = ("SEX", "EDUCATION", "MARRIAGE")
COLUMNS = {
    BANK: BANK_COLUMNS + STATUS_COLUMNS[:5],
    "platform": BILL_COLUMNS,
    "receivables": (*PAYMENT_COLUMNS, STATUS_COLUMNS[5]),
}
UNKNOWN_SHARE = 0.005  # of the bank's borrowers, at each partner
TRAINING_SECONDS = 900.0
END_SECONDS = 20.0

_FEDERATION = f"""\
[federation]
alignment = "inner"
output = "runs"
note = "{DATA_NOTE}"

[parties.bank]
role = "label"
manifest = "bank/manifest.toml"

[parties.platform]
role = "feature"
manifest = "platform/manifest.toml"

[parties.receivables]
role = "feature"
manifest = "receivables/manifest.toml"

[split]
column = "split"
validation_share = 0.2
seed = 42

[model]
bins = 32
"""


@dataclass(frozen=True)
class Trained:
    """A trained federation in a folder.

    Attributes:
        folder: with federation.toml and a folder a party.
        run: the run's folder.
        seconds: that training took.
    """

    folder: Path
    run: Path
    seconds: float

    def manifest(self, party: str) -> Path:
        """A party's manifest."""
        return self.folder / party / "manifest.toml"


def write_federation(folder: Path, borrowers: int | None = None, seed: int = 2005) -> Path:
    """Write three parties' tables and manifests; returns the federation file.

    Args:
        folder: new or empty.
        borrowers: the first so many; None: all 30,000.
        seed: draws ids, each partner's order, and whom it does not know.
    """
    import pyarrow as pa
    import pyarrow.parquet

    data = load_uci()
    count = len(data.label)
    split = np.full(count, "train", dtype=object)
    split[fixed_split(data.label)[1]] = "test"
    rows = np.arange(count if borrowers is None else min(borrowers, count))
    rng = np.random.default_rng(seed)
    ids = np.array([f"{number:010d}" for number in rng.choice(10**10, size=count, replace=False)])
    for party, names in COLUMNS.items():
        of_party = rows
        if party != BANK:
            of_party = rng.permutation(rows[rng.random(len(rows)) >= UNKNOWN_SHARE])
        columns = {"borrower_id": pa.array(ids[of_party].tolist())}
        for name in names:
            values = data.columns[name][of_party]
            columns[name] = pa.array(values.astype(str).tolist() if name in CATEGORIES else values)
        if party == BANK:
            columns[LABEL_COLUMN] = pa.array(data.label[of_party])
            columns["split"] = pa.array(split[of_party].tolist())
        (folder / party).mkdir(parents=True)
        pa.parquet.write_table(pa.table(columns), folder / party / "table.parquet")
        (folder / party / "manifest.toml").write_text(_manifest(party, names), encoding="utf-8")
    federation = folder / "federation.toml"
    federation.write_text(_FEDERATION, encoding="utf-8")
    return federation


def _manifest(party: str, names: tuple[str, ...]) -> str:
    role = "label" if party == BANK else "feature"
    lines = ["[party]", f'name = "{party}"', f'role = "{role}"']
    lines += ["", "[source]", 'path = "table.parquet"']
    lines += ["", "[ids]", 'column = "borrower_id"', 'rule = "strip"']
    if party == BANK:
        lines += ["", "[label]", f'column = "{LABEL_COLUMN}"', "positive = 1"]
    lines += ["", "[features]"]
    for name in names:
        kind = "categorical" if name in CATEGORIES else "numeric"
        label = name.lower().replace("_", " ")
        lines.append(f'{name} = {{ kind = "{kind}", label = "{label}" }}')
    return "\n".join(lines) + "\n"


def train(federation: Path) -> Trained:
    """Train in a process of its own, `veilscore train`.

    Raises:
        InputError: it failed; its last words stand in the sentence.
    """
    command = [sys.executable, "-m", "veilscore", "train", "--config", str(federation)]
    begin = time.monotonic()
    with tempfile.TemporaryFile() as words:
        # A fixed command on files of this run. Its processes are a group, which ends as one.
        process = subprocess.Popen(  # nosec B603
            [*command, "--no-baselines", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(TRAINING_SECONDS)
        except subprocess.TimeoutExpired:
            raise InputError(f"bench scoring: training took over {TRAINING_SECONDS:g} s") from None
        finally:
            _end_group(process)
        if process.returncode:
            words.seek(0)
            last = words.read().decode(errors="replace").strip()[-500:]
            raise InputError(f"bench scoring: training failed; its last words: {last}")
    run = (federation.parent / "runs" / "latest").resolve()
    return Trained(federation.parent, run, round(time.monotonic() - begin, 1))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Interrupt what still runs, so that it ends its own processes; then whatever is left."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
