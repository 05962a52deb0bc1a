"""What an attack's result is compared with: a partner's own bin codes of the borrowers of the fit.

Nobody but the partner has them. Only where all parties lie on this machine can they be brought into
the order of a transcript: from the alignment that both vaults keep, the label party's test rows,
and the partner's table and model part. They are written into the partner's folder of the run.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from clients.bank.results import TEST_SCORES
from clients.federation_file import FederationConfig
from clients.pins import identity_of
from clients.sources import PartyTable, load_table
from clients.vault import Vault, load_binned, write_private
from federation.alignment.kept import KeptAlignment
from federation.boosting.feature_bins import BinLayout
from federation.boosting.transcript import Transcript
from federation.errors import InputError
from federation.vertical.kept_alignments import offered

Codes = npt.NDArray[np.uint8]
# Batches of queries whose sums are checked: a few tell another order of the borrowers.
_CHECKED = 4


def codes_path(run: Path, training: str, partner: str) -> Path:
    """Where a simulation keeps the partner's codes, in the partner's own folder of the run."""
    return run / partner / f"fit-codes-{training}.npz"


def keep_true_codes(
    config: FederationConfig, run: Path, training: str, partner: str, transcript: Transcript
) -> Codes | None:
    """Find the partner's codes (features, borrowers) and write them to its folder.

    Args:
        config: names the manifests of both, whose vaults keep the alignment.
        run: the run's folder.
        training, partner: whose codes.
        transcript: what the label party holds; it must fit the codes.

    Returns:
        None where no kept alignment gives codes that fit the transcript.
    """
    label_party = config.label_party.name
    tables = {party: _table(config, party) for party in (label_party, partner)}
    kept = {party: _alignments(config, party, table) for party, table in tables.items()}
    test_rows = pq.read_table(run / label_party / TEST_SCORES, columns=["row"])["row"].to_numpy()
    binnings = load_binned(run / partner / f"model-{training}.json").binnings
    by_name = {column.spec.name: i for i, column in enumerate(tables[partner].features)}
    for session, own in kept[label_party].items():
        theirs = kept[partner].get(session)
        if theirs is None or len(theirs.rows) != len(own.rows):
            continue
        in_fit = ~np.isin(own.rows, test_rows)
        if int(in_fit.sum()) != transcript.borrowers:
            continue
        columns = tables[partner].rows(theirs.rows[in_fit])
        codes = np.stack([b.assign(columns[by_name[b.feature]]) for b in binnings])
        if agree(transcript, codes):
            narrow = codes.astype(np.uint8)
            stream = io.BytesIO()
            np.savez_compressed(stream, codes=narrow)
            write_private(codes_path(run, training, partner), stream.getvalue())
            return narrow
    return None


def read_true_codes(run: Path, training: str, partner: str, transcript: Transcript) -> Codes | None:
    """What `keep_true_codes` wrote, or None where it isn't there.

    Raises:
        InputError: the file is damaged or of another transcript.
    """
    path = codes_path(run, training, partner)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            codes: Codes = arrays["codes"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"{path}: is no file of bin codes, or is damaged; remove it to do without the truth"
        ) from error
    if codes.dtype != np.uint8 or not agree(transcript, codes):
        raise InputError(
            f"{path}: holds other bin codes than the transcript's sums come from; remove it to do "
            "without the truth"
        )
    return codes


def agree(transcript: Transcript, codes: npt.NDArray[np.unsignedinteger]) -> bool:
    """Whether codes (features, borrowers) give the transcript's sums and split bits.

    All split bits are compared, and of every feature the sums of a few queries.
    """
    if codes.shape != (len(transcript.features), transcript.borrowers):
        return False
    bins = np.array([feature.bins for feature in transcript.features])
    if codes.size and (codes.max(axis=1) >= bins).any():
        return False
    for split in transcript.splits:
        goes_left = np.isin(np.arange(bins[split.feature]), split.left)
        if (goes_left[codes[split.feature]] != split.bits).any():
            return False
    return all(_sums_agree(transcript, place, codes[place]) for place in range(len(codes)))


def _sums_agree(
    transcript: Transcript, feature: int, codes: npt.NDArray[np.unsignedinteger]
) -> bool:
    for position in transcript.answered_to(feature)[:_CHECKED]:
        batch = transcript.asked[position]
        before = batch.features[: batch.features.index(feature)]
        first = BinLayout(transcript.features).of_some(before).cells
        bins = transcript.features[feature].bins
        made = np.bincount(codes, weights=batch.vectors[0], minlength=bins)
        if (made.astype(np.int64) != batch.sums[0, first : first + bins]).any():
            return False
    return True


def _table(config: FederationConfig, party: str) -> PartyTable:
    is_label_party = party == config.label_party.name
    split = config.split.column if is_label_party else None
    return load_table(config.manifest_of(party), now=datetime.now(UTC), split_column=split)


def _alignments(
    config: FederationConfig, party: str, table: PartyTable
) -> dict[str, KeptAlignment]:
    """What a party's vault keeps with these very peers, by session, the latest first."""
    vault = Vault(config.party(party).manifest.parent / "vault")
    store = vault.kept.among(identity_of(config, party).federation)
    return offered(store, table.identifiers, config.label_party.name)
