"""Users, access rules, password lines, certificates and configuration, without a broker."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.broker.access import BrokerRefused, BrokerUsers, access_text, is_filter, matches, may_use
from iot.broker.certificates import BrokerCertificate, broker_certificate
from iot.broker.configuration import MosquittoPlan, mosquitto_configuration
from iot.broker.passwords import is_password, new_password, password_line, password_text

SERVICES = {"ingest": "secret"}
NAMES = st.text("abc-._09", min_size=1, max_size=8)


def plan(**changes: object) -> MosquittoPlan:
    folder = Path("/srv/broker")
    files = BrokerCertificate(folder / "a.pem", folder / "b.pem", folder / "k.pem")
    settings = {
        "host": "127.0.0.1",
        "port": 8883,
        "folder": folder,
        "certificate": files,
        "passwords": folder / "passwords",
        "access": folder / "access",
    }
    return MosquittoPlan(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("d1", "tel/v1/firm/d1/reading", True),
        ("d1", "tel/v1/other-firm/d1/receipt", True),
        ("d1", "tel/v1/firm/d2/reading", False),
        ("d1", "tel/v1/d1/d2/reading", False),
        ("d1", "tel/v1/firm/d1", False),
        ("d1", "tel/v2/firm/d1/reading", False),
        ("d1", "$SYS/broker/uptime", False),
        ("ingest", "tel/v1/firm/d2/reading", True),
        ("ingest", "tel/v2/firm/d2/reading", False),
        ("ingest", "tel/v1", False),
    ],
)
def test_who_may_use_a_topic(user: str, topic: str, allowed: bool) -> None:
    assert may_use(user, SERVICES, topic) is allowed


def test_the_access_file_says_the_rule() -> None:
    assert access_text({"b": "x", "a": "y"}) == (
        "user a\ntopic readwrite tel/v1/#\n\n"
        "user b\ntopic readwrite tel/v1/#\n\n"
        "pattern write tel/v1/+/%u/#\n"
        "pattern read tel/v1/+/%u/#\n"
    )


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "a b", "a:b", "a\nuser b", "ä", "x" * 65])
def test_a_name_that_means_something_in_a_topic_or_file_is_refused(name: str) -> None:
    with pytest.raises(BrokerRefused, match="can't log in"):
        BrokerUsers({name: "secret"}, {})
    with pytest.raises(BrokerRefused, match="can't log in"):
        BrokerUsers({}, {name: "secret"})


def test_an_empty_password_and_a_double_name_are_refused() -> None:
    with pytest.raises(BrokerRefused, match="'d1' has an empty password"):
        BrokerUsers({"d1": ""}, {})
    with pytest.raises(BrokerRefused, match="'d1' is a device and a service"):
        BrokerUsers({"d1": "x"}, {"d1": "y"})


def test_passwords_are_not_in_what_is_printed() -> None:
    assert "hush" not in repr(BrokerUsers({"d1": "hush"}, {"ingest": "hush"}))


@pytest.mark.parametrize(
    ("topic_filter", "topic", "falls_under"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("+", "a", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("a/b/c", "a/b", False),
        ("+/+", "/a", True),
        ("tel/v1/+/+/reading", "tel/v1/f/d/reading", True),
    ],
)
def test_filters(topic_filter: str, topic: str, falls_under: bool) -> None:
    assert matches(topic_filter, topic) is falls_under


@pytest.mark.parametrize("text", ["", "a+", "a/#/b", "a#", "+b/c", "a\0"])
def test_what_is_no_filter(text: str) -> None:
    assert not is_filter(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "", "+"]), min_size=1, max_size=5), st.booleans())
def test_a_filter_matches_the_topics_made_from_it(levels: list[str], open_end: bool) -> None:
    topic = "/".join(level if level != "+" else "any" for level in levels)
    written = "/".join([*levels, "#"] if open_end else levels)
    if topic:
        assert matches(written, topic)
        assert matches(written, topic + "/more") is open_end
    assert is_filter(written) or written == ""


@settings(max_examples=30, deadline=None)
@given(NAMES, st.text(min_size=1, max_size=30), st.binary(min_size=12, max_size=12))
def test_a_password_line_is_of_its_password_only(user: str, password: str, salt: bytes) -> None:
    line = password_line(user, password, salt)
    assert is_password(line, password)
    assert not is_password(line, password + "x")
    assert password not in line.split("$", 1)[1] or len(password) < 4


def test_a_password_line_agrees_with_mosquittos_own_program(tmp_path: Path) -> None:
    file, password = tmp_path / "passwords", new_password()
    file.write_text(f"d1:{password}\n")
    try:
        subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("mosquitto is not installed")
    assert is_password(file.read_text().strip(), password)


def test_the_same_password_twice_gives_two_lines() -> None:
    first, second = password_text({"a": "same"}), password_text({"a": "same"})
    assert first != second


def test_the_configuration_refuses_strangers_and_asks_for_tls() -> None:
    lines = mosquitto_configuration(plan()).splitlines()
    assert "allow_anonymous false" in lines
    assert "password_file /srv/broker/passwords" in lines
    assert "acl_file /srv/broker/access" in lines
    assert "persistence true" in lines
    listener = lines.index("listener 8883 127.0.0.1")
    assert lines[listener + 1 :] == [
        "certfile /srv/broker/b.pem",
        "keyfile /srv/broker/k.pem",
        "tls_version tlsv1.2",
    ]
    assert sum(line.startswith("listener ") for line in lines) == 1
    assert not any(line.startswith("user ") for line in lines)


def test_the_configuration_is_a_function_of_the_plan() -> None:
    assert mosquitto_configuration(plan()) == mosquitto_configuration(plan())
    text = mosquitto_configuration(plan(account="root", autosave_seconds=7, queued_messages=9))
    assert "user root\n" in text
    assert "autosave_interval 7\n" in text
    assert "max_queued_messages 9\n" in text


def test_a_path_can_not_smuggle_a_setting_in() -> None:
    with pytest.raises(BrokerRefused, match="line break"):
        mosquitto_configuration(plan(access=Path("/x\nallow_anonymous true")))


def test_a_certificate_is_kept_until_it_runs_out_or_the_hosts_change(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    files = broker_certificate(tmp_path, ["127.0.0.1", "broker.example"], now)
    first = files.certificate.read_bytes()
    assert files.key.stat().st_mode & 0o777 == 0o600
    broker_certificate(tmp_path, ["127.0.0.1", "broker.example"], now + timedelta(days=60))
    assert files.certificate.read_bytes() == first
    broker_certificate(tmp_path, ["127.0.0.1", "broker.example"], now + timedelta(days=89, hours=1))
    renewed = files.certificate.read_bytes()
    assert renewed != first
    broker_certificate(tmp_path, ["::1"], now + timedelta(days=90))
    assert files.certificate.read_bytes() != renewed


def test_the_certificate_is_signed_by_the_authority(tmp_path: Path) -> None:
    files = broker_certificate(tmp_path, ["127.0.0.1"])
    leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(files.authority.read_bytes()))
