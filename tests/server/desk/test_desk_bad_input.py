"""What a clumsy operator does: one sentence, nothing half-written, nothing of the rows told."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

import veilscore
from clients.vault import load_served_model, save_served_model, write_private
from clients.vault.chain_reading import read_log
from federation.errors import InputError
from server.desk.access.issue import Authority
from server.desk.access.rules import read_access
from server.desk.alerts.settings import open_store
from server.desk.audit import AuditLog
from server.desk.desk_folder import add_caller, make_desk_folder
from server.desk.monitoring import cli as monitoring_cli
from server.desk.offline import score_file
from server.desk.offline_input import read_borrowers
from server.desk.policy.portfolio import read_portfolio
from server.desk.server import TlsFiles
from server.desk.settings import read_settings
from tests.server.desk.models import OWN_FEATURES, served_model
from tests.server.desk.policies import example

MADE = served_model(())


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A served model's file in a run's folder."""
    path = tmp_path / "run" / "bank" / "served-exact.json"
    save_served_model(path, MADE.served, MADE.keys["bank"])
    return path


@pytest.fixture
def desk(tmp_path: Path, served: Path) -> Path:
    """A desk's folder."""
    make_desk_folder(tmp_path / "desk", served, None)
    return tmp_path / "desk"


@pytest.mark.parametrize("roles", [[], ["root"]])
def test_a_caller_without_a_right_role_changes_nothing(desk: Path, roles: list[str]) -> None:
    """Or the access file could be read no more, and nobody be revoked."""
    before = (desk / "access.toml").read_bytes()
    with pytest.raises(InputError, match="choose from score"):
        add_caller(desk, "bob", roles)
    assert (desk / "access.toml").read_bytes() == before
    assert not (desk / "callers" / "bob.key").exists()


def test_a_caller_is_not_entered_where_the_file_would_break(desk: Path) -> None:
    """The text is read as it would be before any of it is written."""
    path = desk / "access.toml"
    path.write_text('callers = {lending = {certificate = "lending", roles = ["score"]}}\n')
    before = path.read_bytes()
    with pytest.raises(InputError, match="not readable TOML"):
        add_caller(desk, "bob", ["score"])
    assert path.read_bytes() == before
    assert read_access(path).names == {"lending"}
    assert not (desk / "callers" / "bob.key").exists()


def test_a_vault_without_a_key_makes_no_desk(tmp_path: Path, served: Path) -> None:
    """Nor is a key made in it, which nobody has pinned."""
    (tmp_path / "vault").mkdir()
    with pytest.raises(InputError, match=r"holds no party\.key"):
        make_desk_folder(tmp_path / "desk", served, tmp_path / "vault")
    assert not (tmp_path / "desk").exists()


def test_scoring_a_file_makes_no_key(tmp_path: Path, desk: Path, served: Path) -> None:
    """The settings name a folder that is no vault."""
    (tmp_path / "vault").mkdir()
    text = (desk / "desk.toml").read_text()
    (desk / "desk.toml").write_text(
        text.replace(
            '# label_party_vault = "../parties/bank/vault"', 'label_party_vault = "../vault"'
        )
    )
    with pytest.raises(InputError, match=r"holds no party\.key"):
        score_file(served.parents[1], "", tmp_path / "in.csv", tmp_path / "out.csv", desk, None)
    assert not list((tmp_path / "vault").iterdir())


def no_certificate(tls: TlsFiles) -> None:
    """An empty file."""
    tls.certificate.write_bytes(b"")


def foreign_key(tls: TlsFiles) -> None:
    """Of another certificate."""
    Authority(tls.callers, tls.callers.with_suffix(".key")).issue_caller(
        "other", tls.certificate.with_name("other.pem"), tls.key
    )


def no_callers(tls: TlsFiles) -> None:
    """Nobody's certificates."""
    tls.callers.write_bytes(b"")


@pytest.mark.parametrize("spoil", [no_certificate, foreign_key, no_callers])
def test_tls_files_that_do_not_fit_are_said_so(
    desk: Path, spoil: Callable[[TlsFiles], None]
) -> None:
    """Not that an address is taken, as gRPC's refusal of them looks like."""
    tls = TlsFiles.of(desk / "tls")
    tls.credentials()
    spoil(tls)
    with pytest.raises(InputError, match="can't use the TLS files") as caught:
        tls.credentials()
    assert isinstance(caught.value.__cause__, ssl.SSLError)


def test_a_key_of_ids_that_all_may_read_is_refused(tmp_path: Path) -> None:
    """Who has it can guess whom the record is about."""
    AuditLog(tmp_path).close()
    (tmp_path / "borrower-ids.key").chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        AuditLog(tmp_path)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_no_row_of_a_broken_file_is_told(tmp_path: Path, name: str) -> None:
    """Arrow's own sentences end in the row."""
    path = tmp_path / name
    names = ",".join(["id", *(spec.name for spec in OWN_FEATURES)])
    path.write_text(f"{names}\nsecret-id,41,99999\n")
    with pytest.raises(InputError) as caught:
        read_borrowers(path, OWN_FEATURES, None)
    portfolio = tmp_path / f"portfolio-{name}"
    portfolio.write_text("probability,borrower\n0.1,secret-id,99999\n")
    with pytest.raises(InputError) as other:
        read_portfolio(portfolio, example(), "", "", {})
    for error in (caught.value, other.value):
        assert "secret-id" not in str(error)
        assert "99999" not in str(error)
    if path.suffix == ".csv":
        assert "a row has 3 columns, the header 6" in str(caught.value)


def test_a_folder_in_the_place_of_a_file_is_one_sentence(tmp_path: Path) -> None:
    """A served model, and the written-down end of a log."""
    (tmp_path / "served-exact.json").mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        load_served_model(tmp_path / "served-exact.json", None)
    (tmp_path / "audit.head").mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        list(read_log(tmp_path / "audit.jsonl"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (IsADirectoryError(21, "Is a directory", "/a/b"), "veilscore: /a/b: Is a directory\n"),
        (OSError(28, "No space left on device"), "veilscore: No space left on device\n"),
        (TimeoutError(), "veilscore: TimeoutError\n"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever command it comes from, with exit status 2."""

    def refused(prog_name: str) -> None:
        raise error

    monkeypatch.setattr(veilscore, "app", refused)
    with pytest.raises(SystemExit) as caught:
        veilscore.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("text", ["\udcff", "a\0b"])
def test_signs_that_are_no_text_are_no_alert(desk: Path, text: str) -> None:
    """As a terminal in another encoding hands them over."""
    with open_store(desk) as store:
        for work in (
            lambda: store.find(borrower=text),
            lambda: store.resolve("lessor", text, "done", "me"),
            lambda: store.resolve(text, "1", "done", "me"),
        ):
            with pytest.raises(InputError, match="are no text"):
                work()


def test_outcomes_are_joined_with_the_desks_own_record(tmp_path: Path, desk: Path) -> None:
    """Wherever its settings put it."""
    text = (desk / "desk.toml").read_text()
    (desk / "desk.toml").write_text(text.replace('folder = "audit"', 'folder = "record"'))
    AuditLog(read_settings(desk).audit_folder).close()
    write_private(
        tmp_path / "o.csv", b"request_id,defaulted,date\n" + b"0" * 32 + b",1,2026-01-01\n"
    )
    with pytest.raises(InputError, match="none of its 1 outcomes belongs"):
        monitoring_cli.outcomes(tmp_path / "o.csv", desk, None, "casefold")


@pytest.mark.parametrize("value", ["0.5", "true", "0", "1e3"])
def test_half_a_connection_is_none(desk: Path, value: str) -> None:
    """It would be cut down to none at all."""
    text = (desk / "desk.toml").read_text()
    (desk / "desk.toml").write_text(text.replace("[desk]\n", f"[desk]\nconnections = {value}\n"))
    with pytest.raises(InputError, match="whole number"):
        read_settings(desk)
