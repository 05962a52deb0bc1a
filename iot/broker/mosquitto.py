"""The real broker: mosquitto as a process of ours, with TLS, passwords, access rules and a folder.

For the demo, tests and benchmarks, on this machine's own address by default. In production the
operating system runs mosquitto, with the same configuration text.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess  # nosec B404
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from iot.broker.access import BrokerRefused, BrokerUsers, access_text
from iot.broker.address import BrokerAddress, free_port
from iot.broker.certificates import broker_certificate, write_private
from iot.broker.configuration import MosquittoPlan, mosquitto_configuration
from iot.broker.passwords import password_text

_PROGRAM: Final = "mosquitto"
_UP_WITHIN_SECONDS: Final = 15.0
_DOWN_WITHIN_SECONDS: Final = 15.0
_PORTS_TRIED: Final = 5


def mosquitto_program() -> str | None:
    """Where mosquitto is; None where it is not installed. Debian keeps it out of users' paths."""
    return shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path="/usr/sbin:/usr/local/sbin")


@dataclass
class MosquittoBroker:
    """Mosquitto in a folder of its own, up between entering and leaving.

    Attributes:
        folder: for certificate, configuration, messages and log; made where it is not there.
        users: who may log in.
        host: the address that it listens on.
        port: on which; None: a free one, kept over restarts.
        autosave_seconds: see `iot.broker.configuration`.
        message_limit_bytes: of a payload.
    """

    folder: Path
    users: BrokerUsers
    host: str = "127.0.0.1"
    port: int | None = None
    autosave_seconds: int = 300
    message_limit_bytes: int = 2 * 1_024 * 1_024
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def address(self) -> BrokerAddress:
        """Where it listens.

        Raises:
            BrokerRefused: it was not started yet, and its port was left open.
        """
        if self.port is None:
            raise BrokerRefused("The broker has no port yet; start it first.")
        return BrokerAddress(self.host, self.port, self.folder / "authority.pem")

    @property
    def process_id(self) -> int | None:
        """Of the running broker; None while it is down."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> Path:
        """What the broker says; new lines are added at each start."""
        return self.folder / "mosquitto.log"

    def start(self) -> None:
        """Come up and wait until it takes TLS connections.

        Raises:
            BrokerRefused: mosquitto is not installed, or it did not come up; says what it said.
        """
        if self._process is not None:
            raise BrokerRefused("The broker is up already; stop it first.")
        program = mosquitto_program()
        if program is None:
            raise BrokerRefused(
                "mosquitto is not installed; install it (Debian: apt-get install mosquitto) or use "
                "the broker in Python."
            )
        chosen = self.port
        for attempt in range(_PORTS_TRIED):
            self.port = free_port(self.host) if chosen is None else chosen
            try:
                self._start(program)
            except BrokerRefused:
                # Between choosing a free port and taking it, another process may be faster.
                if chosen is not None or attempt == _PORTS_TRIED - 1:
                    self.port = chosen
                    raise
            else:
                return

    def stop(self) -> None:
        """Ask it to stop; it writes its messages first. Nothing to do where it is down."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: what it acknowledged since its last save is lost."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, program: str) -> None:
        configuration = self._write()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # nosec B603
                [program, "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C is for whoever started the broker, who then stops it in order.
                start_new_session=True,
            )
        until = time.monotonic() + _UP_WITHIN_SECONDS
        while not self._answers():
            status = self._process.poll()
            if status is not None or time.monotonic() > until:
                self.kill()
                lines = self.log.read_text(errors="replace").splitlines()
                said = " ".join(lines[-3:]) or "nothing"
                raise BrokerRefused(
                    f"mosquitto did not come up on {self.host}:{self.port} "
                    f"(status {status}); it said: {said}"
                )
            time.sleep(0.02)

    def _write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        passwords, access = self.folder / "passwords", self.folder / "access"
        write_private(passwords, password_text(self.users.all()).encode())
        write_private(access, access_text(self.users.services).encode())
        configuration = self.folder / "mosquitto.conf"
        plan = MosquittoPlan(
            host=self.host,
            port=self.address.port,
            folder=self.folder.resolve(),
            certificate=broker_certificate(self.folder.resolve(), [self.host, "localhost"]),
            passwords=passwords.resolve(),
            access=access.resolve(),
            # Started by root it would become another account, which may not read these files.
            account="root" if os.geteuid() == 0 else None,
            autosave_seconds=self.autosave_seconds,
            message_limit_bytes=self.message_limit_bytes,
        )
        configuration.write_text(mosquitto_configuration(plan))
        return configuration

    def _answers(self) -> bool:
        trust = ssl.create_default_context(cafile=str(self.address.authority))
        try:
            with (
                socket.create_connection((self.host, self.address.port), timeout=1) as plain,
                trust.wrap_socket(plain, server_hostname=self.host),
            ):
                return True
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_DOWN_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
