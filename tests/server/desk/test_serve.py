"""`veilscore serve`: a real process on a run's folder, its settings, and an end without a loss."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from typer.testing import CliRunner

from clients.vault import save_served_model, write_private
from federation.errors import InputError
from federation.identity import PartyKey
from federation.proto.scoring_pb2 import (
    DecideRequest,
    ExplainReply,
    ExplainRequest,
    ModelInfoReply,
    ModelInfoRequest,
    ScoreBatchReply,
    ScoreReply,
)
from federation.scoring import default_probability, scores_of
from server.desk import cli
from server.desk.audit import audit_rows
from server.desk.desk_folder import make_desk_folder
from server.desk.service import SERVICE
from server.desk.settings import read_settings
from server.desk.single_model import SingleModel, load_single, served_file
from tests.server.desk.desks import RunningDesk, batch_request, score_request
from tests.server.desk.models import LABEL_PARTY, HandMade, served_model
from tests.server.desk.partner_sides import partner_process

MADE = served_model(())
# Health checking by the client's channel (gRPC A17); it takes another balancer than the usual one.
WATCHING = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": SERVICE},
}
ROOT = Path(__file__).resolve().parents[3]


def command(*arguments: str | Path) -> list[str]:
    """The command line in a process."""
    return [sys.executable, "-m", "veilscore", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )


def trained(folder: Path, made: HandMade = MADE, name: str = "exact") -> Path:
    """A run's folder with a served model."""
    save_served_model(folder / "bank" / f"served-{name}.json", made.served, made.keys["bank"])
    return folder


@contextmanager
def serving(
    run_folder: Path, desk: Path, *more: str
) -> Iterator[tuple[subprocess.Popen[str], RunningDesk, str]]:
    """A desk's process, the way to it, and what it said."""
    process = subprocess.Popen(
        command("serve", run_folder, "--desk", desk, "--listen", "127.0.0.1:0", *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    said = ""
    try:
        if process.stdout is None:
            raise RuntimeError("no output")
        for line in process.stdout:
            said += line
            if found := re.search(r"answers on (\S+)", line):
                running = RunningDesk(found.group(1), desk, None, None, None, None, None)  # type: ignore[arg-type]
                yield process, running, said
                break
        else:
            raise AssertionError(said)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@dataclass
class FirstLife:
    """A desk's first process, from its start to its end on SIGTERM.

    Attributes:
        desk: the folder that it made.
        said: until it answered.
        reply, info: of `Score` and `ModelInfo`.
        decide: how `Decide` ended.
        answered, refused: what a caller who watches its health was told meanwhile.
        status: of the process.
    """

    desk: Path
    said: str
    reply: ScoreReply
    info: ModelInfoReply
    decide: grpc.StatusCode
    answered: int
    refused: list[grpc.StatusCode]
    status: int


@pytest.fixture(scope="module")
def first_life(tmp_path_factory: pytest.TempPathFactory) -> FirstLife:
    """Of a desk for a run, while a caller asks on and on."""
    folder = tmp_path_factory.mktemp("first")
    desk = folder / "desk"
    with (
        serving(trained(folder / "run"), desk) as (process, running, said),
        running.channel(options=[("grpc.service_config", json.dumps(WATCHING))]) as channel,
        ThreadPoolExecutor(1) as later,
    ):
        reply = running.call("Score", score_request(MADE, 3), ScoreReply.FromString)
        info = running.call("ModelInfo", ModelInfoRequest(), ModelInfoReply.FromString)
        with pytest.raises(grpc.RpcError) as caught:
            running.call("Decide", DecideRequest(), bytes)
        call = channel.unary_unary(f"/{SERVICE}/Score")
        data = score_request(MADE, 4).SerializeToString()
        call(data, timeout=5, wait_for_ready=True)
        enough = threading.Event()
        later.submit(lambda: (enough.wait(20), process.send_signal(signal.SIGTERM)))
        answered, refused = 1, []
        while not refused:
            try:
                call(data, timeout=5)
                answered += 1
            except grpc.RpcError as error:
                refused.append(error.code())
            if answered == 50:
                enough.set()
        enough.set()
        status = process.wait(20)
    decide = caught.value.code()
    return FirstLife(desk, said, reply, info, decide, answered, refused, status)


def test_a_new_desk_serves_a_run(first_life: FirstLife) -> None:
    """It makes its folder, says so, scores over mTLS, and ends on SIGTERM with status 0."""
    assert "Made the desk's folder" in first_life.said
    main = MADE.served.main
    scores = scores_of(main.calibration.log_odds(MADE.points(main)))
    assert first_life.reply.score == scores[3]
    assert first_life.info.model_digest == MADE.served.digest
    assert first_life.info.stage == "production"
    assert first_life.decide is grpc.StatusCode.UNIMPLEMENTED
    assert first_life.status == 0
    for path in first_life.desk.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_end_loses_no_call_of_who_watches_its_health(first_life: FirstLife) -> None:
    """Each call is answered, or refused by the caller's own channel before it is sent."""
    assert first_life.answered >= 50
    assert first_life.refused == [grpc.StatusCode.UNAVAILABLE]
    rows = [entry.body for entry in audit_rows(first_life.desk / "audit")]
    assert [row["method"] for row in rows[:3]] == ["Score", "ModelInfo", "Decide"]
    watched = rows[3:]
    assert len(watched) == first_life.answered
    assert {(row["method"], row["status"]) for row in watched} == {("Score", "OK")}


def test_the_audit_record_is_shown_and_checked(first_life: FirstLife, tmp_path: Path) -> None:
    """All rows, how many, one borrower's, and a sentence where it was altered."""
    desk = shutil.copytree(first_life.desk, tmp_path / "desk")
    rows = 3 + first_life.answered

    def shown(*options: str) -> str:
        done = CliRunner().invoke(cli.desk_app, ["audit", str(desk), *options])
        assert done.exit_code == 0, done.output
        return done.output

    assert len(shown().splitlines()) == rows
    assert f"{rows} rows" in shown("--verify")
    assert len(shown("--borrower", " B0003").splitlines()) == 1
    log = desk / "audit" / "audit.jsonl"
    log.write_text(log.read_text().replace("UNIMPLEMENTED", "OK"))
    broken = run("desk", "audit", desk, "--verify")
    assert broken.returncode == 2
    assert "line 4: the entry does not follow from the one before" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_a_desk_that_exists_goes_on_with_rest_and_metrics(
    first_life: FirstLife, tmp_path: Path
) -> None:
    """A second start finds its registry; the gateway takes the same certificates."""
    desk = shutil.copytree(first_life.desk, tmp_path / "desk")
    settings = (desk / "desk.toml").read_text()
    settings = settings.replace('# rest_listen = "127.0.0.1:8444"', 'rest_listen = "127.0.0.1:0"')
    settings = settings.replace(
        '# metrics_listen = "127.0.0.1:9464"', 'metrics_listen = "127.0.0.1:0"'
    )
    (desk / "desk.toml").write_text(settings)
    other = trained(tmp_path / "other", served_model((), seed=9))
    with serving(other, desk) as (_, running, said):
        assert "Made the desk's folder" not in said
        info = running.call("ModelInfo", ModelInfoRequest(), ModelInfoReply.FromString)
        assert (
            info.model_digest == MADE.served.digest
        )  # another run's model is not put in by itself
        rest = re.search(r"REST at (https://\S+)", said)
        metrics = re.search(r"Metrics at (http://\S+)", said)
        assert rest is not None
        assert metrics is not None
        context = ssl.create_default_context(cafile=desk / "tls" / "callers-ca.pem")
        context.load_cert_chain(desk / "callers" / "lending.pem", desk / "callers" / "lending.key")
        with httpx.Client(verify=context, timeout=10) as client:
            assert client.get(f"{rest.group(1)}model").status_code == 200
        assert "veilscore" in httpx.get(metrics.group(1), timeout=10).text


def test_partners_without_a_vault_degrade(tmp_path: Path) -> None:
    """A model with feature parties is served, and says who is silent."""
    made = served_model(("platform",))
    with serving(trained(tmp_path / "run", made), tmp_path / "desk") as (_, running, said):
        reply = running.call("Score", score_request(made, 3), ScoreReply.FromString)
        assert reply.degraded
        assert [one.party for one in reply.missing_parties] == ["platform"]
        assert "label_party_vault is not set" in said
        assert "[partners" in (tmp_path / "desk" / "desk.toml").read_text()


def test_partners_that_die_lose_no_answer(tmp_path: Path) -> None:
    """Three processes over mTLS: exact scores of all, then of those that are left."""
    parties = ("lessor", "platform")
    made = served_model(parties)
    vault = tmp_path / "vault"
    # The key that the hand-made model's partners pin.
    write_private(vault / "party.key", LABEL_PARTY.encode().ljust(32, b".")[:32])
    with (
        partner_process("lessor", parties) as (lessor, lessor_process),
        partner_process("platform", parties) as (platform, platform_process),
    ):
        desk = tmp_path / "desk"
        make_desk_folder(desk, served_file(trained(tmp_path / "run", made)), vault)
        with (desk / "desk.toml").open("a") as file:
            for party, address in (("lessor", lessor), ("platform", platform)):
                file.write(f'\n[partners.{party}]\naddress = "{address}"\n')
        with (
            serving(tmp_path / "run", desk) as (_, running, _),
            running.channel() as channel,
        ):
            call = channel.unary_unary(f"/{SERVICE}/Score")
            names = {variant.parties: variant for variant in made.served.variants}

            def replies(count: int) -> list[ScoreReply]:
                data = [score_request(made, row).SerializeToString() for row in range(count)]
                found = [ScoreReply.FromString(call(one, timeout=5)) for one in data]
                for row, reply in enumerate(found):
                    variant = names[tuple(reply.parties)]
                    log_odds = variant.calibration.log_odds(made.points(variant)[[row]])
                    assert reply.score == scores_of(log_odds)[0]
                    assert reply.probability_of_default == default_probability(log_odds)[0]
                    assert reply.degraded == (len(reply.parties) < 2)
                return found

            for _ in range(20):  # until both are connected
                if all(len(reply.parties) == 2 for reply in replies(20)):
                    break
            assert all(len(reply.parties) == 2 for reply in replies(50))
            explained = running.call(
                "Explain",
                ExplainRequest(request=score_request(made, 3), most_reasons=20),
                ExplainReply.FromString,
            )
            assert {reason.party for reason in explained.reasons} == {"bank"}
            assert list(explained.without_reasons) == ["lessor", "platform"]  # by their policy
            platform_process.send_signal(signal.SIGSTOP)
            assert {tuple(reply.parties) for reply in replies(40)} <= {("lessor",), ()}
            lessor_process.kill()
            # The first ones may still wait for it in vain.
            assert all(not reply.parties for reply in replies(60)[-10:])
            platform_process.send_signal(signal.SIGCONT)
            batch = running.stream([batch_request(made, range(50))])
            assert len(ScoreBatchReply.FromString(batch[0]).scores) == 50


def test_what_a_person_gets_wrong_is_one_sentence(tmp_path: Path) -> None:
    """No run, no model, several models, another signer, a wrong setting, a taken port."""
    empty = tmp_path / "empty"
    empty.mkdir()
    both = trained(trained(tmp_path / "both"), MADE, "label-noise")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"run": tmp_path / "nowhere"}, "there is no such folder"),
        ({"run": empty}, "holds no served model"),
        ({"run": both}, "choose one by --model: exact, label-noise"),
        ({}, "holds no desk.toml"),
        ({"run": trained(tmp_path / "run"), "listen": "nowhere"}, "HOST:PORT"),
    ]
    for number, (arguments, sentence) in enumerate(cases):
        with pytest.raises(InputError, match=sentence):
            cli.serve(**{"desk": tmp_path / f"desk-{number}"} | arguments)
    damaged = tmp_path / "damaged" / "bank" / "served-exact.json"
    damaged.parent.mkdir(parents=True)
    good = (tmp_path / "run" / "bank" / "served-exact.json").read_text()
    damaged.write_text(good.replace('"intercept":-1.3', '"intercept":-9.3'))
    done = run("serve", tmp_path / "damaged", "--desk", tmp_path / "desk")
    assert done.returncode == 2
    assert "changed after it was signed" in done.stderr
    assert not (tmp_path / "desk" / "desk.toml").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[desk", "not valid TOML"),
        ("[dsk]\nlisten = 'a:1'", "did you mean 'desk'"),
        ("[desk]\nlisten = 8443", "HOST:PORT"),
        ("[desk]\nlisten = 'localhost:99999'", "HOST:PORT"),
        ("[desk]\ndeadline = 50", "did you mean 'deadline_ms'"),
        ("[desk]\ndeadline_ms = 0", "above 0"),
        ("[desk]\ndeadline_ms = nan", "above 0"),
        ("[desk]\ndeadline_ms = true", "above 0"),
        ("desk = 3", "must be a table"),
        ("[partners]\nplatform = 3", "must be a table"),
        ("[partners.platform]\ndeadline_ms = 3", "needs 'address'"),
        ("[partners.platform]\naddress = 'x:1'\nkey = 'y'", "unknown key 'key'"),
        ("[audit]\nfolder = 3", "something else than a text"),
        ("[audit]\nfile = 'a'", "unknown key 'file'"),
    ],
)
def test_wrong_settings_are_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """With the file, the table and the key."""
    (tmp_path / "desk.toml").write_text(text)
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        read_settings(tmp_path)
    assert "desk.toml" in str(caught.value)


def test_settings_are_read(tmp_path: Path) -> None:
    """Milliseconds become seconds; paths start at the folder."""
    (tmp_path / "desk.toml").write_text(
        "[desk]\nlisten = '[::1]:0'\ndeadline_ms = 40\nlabel_party_vault = 'v'\n"
        "[partners.'plat form']\naddress = 'h.example:1'\ndeadline_ms = 30\n"
        "[registry]\nurl_env = 'X'\n"
    )
    settings = read_settings(tmp_path)
    assert (settings.listen, settings.deadline) == ("[::1]:0", 0.04)
    assert settings.label_party_vault == tmp_path / "v"
    assert settings.partners["plat form"].deadline == 0.03
    assert settings.others["registry"] == {"url_env": "X"}
    assert settings.audit_folder == tmp_path / "audit"


def test_the_command_line_loads_nothing_heavy(tmp_path: Path) -> None:
    """Printing help imports neither gRPC nor numpy."""
    code = (
        "import sys, typer; from server.desk import cli; app = typer.Typer(); "
        "cli.add_commands(app); print(sorted({'grpc', 'numpy', 'fastapi'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
    app = cli.desk_app
    help_text = CliRunner().invoke(app, ["--help"]).output
    assert "caller" in help_text
    assert "audit" in help_text


def test_one_model_of_a_file_is_a_source(tmp_path: Path) -> None:
    """Checked against the signer that counts."""
    path = served_file(trained(tmp_path / "run"))
    key = MADE.keys["bank"].public
    source = SingleModel(load_single(path, key), None)  # type: ignore[arg-type]
    assert source.route("b", "").model.digest == MADE.served.digest
    with pytest.raises(InputError, match="no model is called"):
        source.route("b", "x")
    with pytest.raises(InputError, match="signed with the key"):
        load_single(path, PartyKey(b"x" * 32).public)
