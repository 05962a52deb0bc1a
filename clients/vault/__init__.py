"""A party's vault: its long-term key, ledger, disclosure logs and model parts, on its disk.

Directories are 0700 and files 0600. Records are appended and flushed to the disk before the message
they are about leaves; whole files are written beside and renamed, so that none is half-written.
"""

from clients.vault.chain_file import ChainFile
from clients.vault.model_files import (
    load_binned,
    load_model,
    load_network,
    load_part,
    load_transcript,
    save_model,
    save_part,
    save_transcript,
    transcript_path,
)
from clients.vault.party_key_file import party_key
from clients.vault.private_files import write_private
from clients.vault.served_models import (
    load_served_model,
    read_signed_document,
    save_served_model,
    signed_document,
)
from clients.vault.store import DisclosureLog, Vault
from federation.session.wire import RUN_NAME

__all__ = [
    "RUN_NAME",
    "ChainFile",
    "DisclosureLog",
    "Vault",
    "load_binned",
    "load_model",
    "load_network",
    "load_part",
    "load_served_model",
    "load_transcript",
    "party_key",
    "read_signed_document",
    "save_model",
    "save_part",
    "save_served_model",
    "save_transcript",
    "signed_document",
    "transcript_path",
    "write_private",
]
