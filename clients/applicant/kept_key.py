"""An applicant's encryption key on its disk: 0600, with the terms that it was used under."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from clients.vault import write_private
from federation.encrypted_scoring import ApplicantKey
from federation.errors import InputError
from federation.record_chain import canonical_json

FORMAT = "veilscore applicant key 1"


@dataclass(frozen=True)
class KeptKey:
    """A registered key.

    Attributes:
        secret: as `ApplicantKey.secret`.
        key_id: the desk's name for it.
        terms_digest: of the terms that it was registered under.
    """

    secret: bytes = field(repr=False)
    key_id: bytes
    terms_digest: str

    def save(self, path: Path) -> None:
        """Write it, mode 0600."""
        content = {
            "format": FORMAT,
            "secret": base64.b64encode(self.secret).decode(),
            "key_id": self.key_id.hex(),
            "terms": self.terms_digest,
        }
        write_private(path, canonical_json(content).encode() + b"\n")

    @classmethod
    def load(cls, path: Path) -> KeptKey | None:
        """Read a kept key; None where there is no file yet.

        Raises:
            InputError: the file can't be read or is damaged, or others may read it.
        """
        try:
            if path.stat().st_mode & 0o077:
                raise InputError(f"{path}: others can read this key; mode 0600 is right")
            content = json.loads(path.read_bytes())
            if content["format"] != FORMAT:
                raise ValueError("format")
            kept = cls(
                base64.b64decode(content["secret"], validate=True),
                bytes.fromhex(content["key_id"]),
                str(content["terms"]),
            )
            ApplicantKey(kept.secret)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path}: not a key that this client wrote, or damaged") from None
        return kept
