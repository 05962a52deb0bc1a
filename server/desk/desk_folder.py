"""A desk's folder where there is none yet: settings with comments, certificates, one caller."""

from __future__ import annotations

import json
import os
import socket
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from clients.vault import load_served_model, write_private
from clients.vault.party_key_file import PARTY_KEY
from federation.errors import InputError
from server.desk.access.issue import Authority
from server.desk.access.rules import CALLER_NAME, Role, parse_access, read_access
from server.desk.server import TlsFiles
from server.desk.settings import ACCESS_FILE, SETTINGS_FILE

FIRST_CALLER = "lending"
FIRST_ROLES = (Role.SCORE, Role.EXPLAIN, Role.DECIDE)
CALLERS = "callers"


def make_desk_folder(
    folder: Path, served: Path, vault: Path | None, addresses: Mapping[str, str] | None = None
) -> list[str]:
    """Make a desk's folder for a served model; returns what was made, a sentence each.

    Args:
        folder: of the desk.
        served: the model's file; whoever signed it is the one whose models the desk will serve.
        vault: the label party's, whose key the partners know; None writes a comment instead.
        addresses: where partners answer, by name; the others are comments.

    Raises:
        InputError: the model is damaged, an address is of no partner of it, or the folder can't be
            written.
    """
    model = load_served_model(served, None)
    for party in addresses or {}:
        if party not in model.main.parties:
            raise InputError(
                f"'{party[:60]}' is no partner of this model; it has: "
                f"{', '.join(model.main.parties) or 'none'}"
            )
    if vault is not None and not (vault / PARTY_KEY).is_file():
        raise InputError(f"--vault {vault}: holds no {PARTY_KEY}; the bank's own vault is right")
    signer = str(json.loads(served.read_bytes())["signer"])
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: the desk's folder can't be made ({error.strerror})") from error
    tls = TlsFiles.of(folder / "tls")
    authority = Authority.made(folder / "tls", f"veilscore desk of {model.label_party}")
    hosts = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    authority.issue_server([host for host in hosts if host], tls.certificate, tls.key)
    access = _ACCESS.format(name=FIRST_CALLER, roles=_toml_list(FIRST_ROLES))
    write_private(folder / ACCESS_FILE, access.encode())
    certificate, key = _caller_files(folder, FIRST_CALLER)
    authority.issue_caller(FIRST_CALLER, certificate, key)
    # Last, since a folder with settings counts as made.
    settings = _settings(folder, signer, model.main.parties, vault, addresses or {})
    tomllib.loads(settings)
    write_private(folder / SETTINGS_FILE, settings.encode())
    return [
        f"Made the desk's folder {folder}: settings (desk.toml), callers (access.toml), "
        "an authority and a server certificate (tls/).",
        f"The caller '{FIRST_CALLER}' has {certificate} and {key}; it trusts {tls.callers}.",
        f"It serves what was signed by {signer[:40]}…; [registry] signers says so.",
    ]


def add_caller(folder: Path, name: str, roles: Sequence[str]) -> list[str]:
    """Make a caller's certificate and enter it in access.toml; returns what was made.

    Raises:
        InputError: the name or a role is none, the caller is there already, or the desk holds no
            authority's key.
    """
    if not CALLER_NAME.fullmatch(name):
        raise InputError(
            f"'{name[:64]}' is no caller's name; letters, digits, '.', '_' and '-' are right, "
            "64 at most"
        )
    known = [str(role) for role in Role]
    if not roles:
        raise InputError(f"--roles: must name one at least; choose from {', '.join(known)}")
    for role in roles:
        if role not in known:
            raise InputError(f"'{role[:40]}' is no role; choose from {', '.join(known)}")
    path = folder / ACCESS_FILE
    rules = read_access(path)
    certificate, key = _caller_files(folder, name)
    if name in rules.names or name in rules.by_name or key.exists():
        raise InputError(
            f"{path}: there is a caller '{name}' already; choose another name, or take it out of "
            f"the file first, and away {key}"
        )
    tls = folder / "tls"
    authority = Authority(tls / "callers-ca.pem", tls / "callers-ca.key")
    entry = f'\n[callers."{name}"]\ncertificate = "{name}"\nroles = {_toml_list(roles)}\n'
    text = path.read_bytes() + entry.encode()
    # A file that can't be read would keep a running desk from revoking anybody.
    parse_access(text, path)
    authority.issue_caller(name, certificate, key)
    write_private(path, text)
    return [
        f"Made {certificate} and {key}, and entered '{name}' in {path}; a running desk takes it "
        "up by itself.",
        f"Give the caller both files by a safe way, and {authority.certificate}, which it trusts.",
    ]


def _caller_files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / CALLERS / f"{name}.pem", folder / CALLERS / f"{name}.key"


def _toml_list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def _settings(
    folder: Path,
    signer: str,
    parties: Sequence[str],
    vault: Path | None,
    addresses: Mapping[str, str],
) -> str:
    partners = ""
    for party in parties:
        if party in addresses:
            partners += f'\n[partners."{party}"]\naddress = "{addresses[party]}"\n'
            continue
        partners += (
            f'\n# [partners."{party}"]              # where its `veilscore party serve` answers\n'
            '# address = "partner.example:7443"\n'
            "# deadline_ms = 30\n"
        )
    vault_line = '# label_party_vault = "../parties/bank/vault"'
    if vault is not None:
        vault_line = f"label_party_vault = {json.dumps(os.path.relpath(vault, folder))}"
    return _SETTINGS.format(signer=signer, partners=partners, vault=vault_line)


_SETTINGS = """\
# A scoring desk's settings. Relative paths start at this file's folder.
[desk]
listen = "127.0.0.1:8443"         # gRPC, mutual TLS
# rest_listen = "127.0.0.1:8444"    # the same calls as JSON over HTTPS, same certificates
# metrics_listen = "127.0.0.1:9464"  # Prometheus, without TLS: keep it on this machine
deadline_ms = 50                  # an answer about one borrower takes no longer
batch_deadline_ms = 5000
# The bank's vault, whose key the partners pinned; without it no partner can be asked.
{vault}

[registry]
# url = "sqlite:///registry.db"   # or url_env = "NAME" of a variable with a PostgreSQL URL
signers = ["{signer}"]   # whose models are served

[audit]
folder = "audit"

# [policy]
# file = "policy.toml"            # what `Decide` follows

# [encrypted]
# folder = "encrypted"            # models for encrypted scoring, NAME.json

# [attestations]                    # signs approvals for the contracts; docs/desk.md has all keys
# keystore = "attestations/key.json"
# password_file = "attestations/password"
# deployment = "attestations/deployment.json"
# bank = "0x..."                  # the bank's account on chain, which authorised the key
# accounts = "attestations/accounts.csv"
# pool_products = ["receivable-advance"]
{partners}"""

_ACCESS = """\
# Who may call the desk. A change holds at once: no restart is needed to admit or to revoke.
# 'certificate' is a name in a certificate that tls/callers-ca.pem vouches for, or "sha256:" and
# the fingerprint of one certificate. Roles: score, explain, decide, attest, admin, alerts,
# encrypted.
[callers.{name}]
certificate = "{name}"
roles = {roles}
# requests_per_second = 500       # calls; a batch is one
# requests_per_day = 1000000      # borrowers; a batch counts each of its own
"""
