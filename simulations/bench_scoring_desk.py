"""A desk and its partners as processes, on what a training left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from clients.desk_client import DeskClient
from simulations.bench_scoring_federation import BANK, PARTNERS, Trained
from simulations.bench_scoring_processes import Service, service
from simulations.open_loop import Target

LISTENS = re.compile(r"(?:answers|listens|serves|listening) on (127\.0\.0\.1:\d+)")
DEADLINE_MS = 50
CALLER_FILES = ("tls/callers-ca.pem", "caller/caller.pem", "caller/caller.key")


@dataclass(frozen=True)
class RunningDesk:
    """A desk that answers, and the way to it.

    Attributes:
        service: its process.
        target: address and a caller's certificate.
        folder: the desk's own.
    """

    service: Service
    target: Target
    folder: Path

    def client(self) -> DeskClient:
        """A caller with the same certificate."""
        files = (self.folder / name for name in CALLER_FILES)
        return DeskClient(self.target.address, *files)


@contextmanager
def running_partners(trained: Trained, folder: Path) -> Iterator[Mapping[str, Service]]:
    """The partners' answer sides, by name.

    Raises:
        InputError: one did not start.
    """
    with ExitStack() as stack:
        running = {}
        for party in PARTNERS:
            arguments = ["party", "serve", str(trained.manifest(party))]
            arguments += ["--config", str(trained.folder / "federation.toml")]
            arguments += ["--run", str(trained.run), "--listen", "127.0.0.1:0"]
            running[party] = stack.enter_context(service(party, arguments, folder, LISTENS))
        yield running


@contextmanager
def running_desk(
    trained: Trained, partners: Mapping[str, str], folder: Path
) -> Iterator[RunningDesk]:
    """A desk that serves the run, `veilscore serve`.

    Args:
        trained: whose model.
        partners: addresses by name; none where the model has none.
        folder: where the desk's own folder is made.

    Raises:
        InputError: it did not start.
    """
    own = folder / "desk"
    write_desk(own, trained, partners)
    arguments = ["serve", str(trained.run), "--desk", str(own)]
    with service("desk", arguments, folder, LISTENS) as desk:
        ca, certificate, key = ((own / name).read_bytes() for name in CALLER_FILES)
        target = Target(desk.address, ca, certificate, key)
        yield RunningDesk(desk, target, own)


def write_desk(own: Path, trained: Trained, partners: Mapping[str, str]) -> None:
    """A desk's folder: settings, one caller who may ask everything, and certificates."""
    from server.desk.access.issue import Authority

    (own / "tls").mkdir(parents=True)
    (own / "caller").mkdir()
    authority = Authority.made(own / "tls", "benchmark")
    authority.issue_server(
        ["127.0.0.1", "localhost"], own / "tls" / "server.pem", own / "tls" / "server.key"
    )
    authority.issue_caller("load", own / "caller" / "caller.pem", own / "caller" / "caller.key")
    lines = ["[desk]", 'listen = "127.0.0.1:0"', f"deadline_ms = {DEADLINE_MS}"]
    lines.append(f'label_party_vault = "{trained.folder / BANK / "vault"}"')
    for name, address in partners.items():
        lines += ["", f"[partners.{name}]", f'address = "{address}"']
    (own / "desk.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    roles = 'roles = ["score", "explain", "decide", "admin"]'
    access = f'[callers.load]\ncertificate = "load"\n{roles}\n'
    (own / "access.toml").write_text(access, encoding="utf-8")
