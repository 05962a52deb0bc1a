"""Which alignment of an earlier session a new one may go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from federation.alignment import AlignmentMode
from federation.alignment.kept import KeptAlignment, ids_digest
from federation.proto.session_pb2 import Hello
from federation.session.store import KeptStore

KIND = "alignments"
# A party offers no more, and reads no more of what others offer.
MOST_OFFERED = 8


def offered(store: KeptStore, ids: Sequence[str], label_party: str) -> dict[str, KeptAlignment]:
    """What this party kept with that label party, if its ids are still the same; latest first."""
    names = store.names(KIND)[:MOST_OFFERED]
    if not names:
        return {}
    digest = ids_digest(ids)
    found = {}
    for name in names:
        data = store.read(KIND, name)
        kept = None if data is None else KeptAlignment.from_bytes(data)
        if kept and (kept.ids_digest, kept.label_party) == (digest, label_party):
            found[kept.session] = kept
    return found


def choose(
    own: Mapping[str, KeptAlignment], hellos: Mapping[str, Hello], mode: AlignmentMode
) -> KeptAlignment | None:
    """The label party's choice: its latest with these parties that all of them have kept too."""
    for session, kept in own.items():
        if kept.mode != mode or set(kept.partner_ids) != set(hellos):
            continue
        if all(session in hello.kept_alignments[:MOST_OFFERED] for hello in hellos.values()):
            return kept
    return None


def keep(store: KeptStore, kept: KeptAlignment) -> None:
    """Keep an alignment for later sessions."""
    store.write(KIND, kept.session, kept.to_bytes())
