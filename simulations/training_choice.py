"""From what a person asked on the command line to the federation and the settings to train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.federation_file import FederationConfig, Topology, read_federation
from federation.errors import InputError

SPLIT, BOOSTED = "split", "boosted"
LARGEST_EPSILON = 100


@dataclass(frozen=True)
class Asked:
    """What was asked for; None where nothing was said."""

    model: str | None = None
    topology: str | None = None
    label_epsilon: float | None = None
    record_epsilon: float | None = None
    client_epsilon: float | None = None
    architecture: str | None = None
    disclosure: str | None = None

    def horizontal_overrides(self) -> dict[str, Any]:
        """Settings of a horizontal run that replace the file's.

        Raises:
            InputError: something was asked that several banks' network does not have.
        """
        if self.model not in (None, "neural"):
            raise InputError(
                f"--model {self.model}: several banks train a neural model; use --model neural, or "
                "a vertical federation"
            )
        if self.label_epsilon is not None:
            raise InputError(
                "--label-epsilon: protects labels in a vertical federation; several banks protect "
                "whole records: use --record-epsilon"
            )
        if self.disclosure is not None:
            raise InputError(
                f"--disclosure {self.disclosure}: is for boosted trees between a bank and its "
                "partners; several banks train a neural model, so leave it out"
            )
        from federation.neural.settings import ARCHITECTURES

        for option, epsilon in (
            ("--record-epsilon", self.record_epsilon),
            ("--client-epsilon", self.client_epsilon),
        ):
            if epsilon is not None and not 0 < epsilon <= LARGEST_EPSILON:
                raise InputError(
                    f"{option} {epsilon:g}: a number above 0, at most {LARGEST_EPSILON} is right"
                )
        if self.architecture not in (None, *ARCHITECTURES):
            raise InputError(
                f"--architecture {self.architecture}: one of {', '.join(ARCHITECTURES)} is right"
            )
        asked = {
            "record_epsilon": self.record_epsilon,
            "client_epsilon": self.client_epsilon,
            "architecture": self.architecture,
        }
        return {key: value for key, value in asked.items() if value is not None}


def refuse_unused(
    config: Path | None,
    asked: Asked,
    *,
    banks: int | None = None,
    partition: str | None = None,
    resume: str | None = None,
) -> None:
    """Refuse options that nothing would come of, before anything is read or written.

    Raises:
        InputError: --banks or --partition beside a federation file, which names its banks, or
            options for several banks without them.
    """
    division = {"--banks": banks, "--partition": partition}
    if config is not None:
        for option, value in division.items():
            if value is not None:
                raise InputError(
                    f"{option} {value}: divides the UCI data of the demo, and {config} names its "
                    "own parties; leave out one of the two"
                )
    elif asked.topology == Topology.HORIZONTAL:
        asked.horizontal_overrides()
    else:
        of_banks: dict[str, object] = {
            **division,
            "--record-epsilon": asked.record_epsilon,
            "--client-epsilon": asked.client_epsilon,
            "--architecture": asked.architecture,
            "--resume": resume,
        }
        for option, given in of_banks.items():
            if given is not None:
                raise InputError(
                    f"{option} {given}: is for several banks; add --topology horizontal"
                )


def federation_to_train(
    config: Path | None, asked: Asked, output: Path, banks: int, partition: str
) -> Path:
    """The federation file: the one that was named, or one written for the UCI data.

    Raises:
        InputError: the file is of another topology than was asked for, or none can be written.
    """
    if config is None:
        return _written(asked, output, banks, partition)
    if asked.topology is not None:
        read_federation(config).require(Topology(asked.topology))
    return config


def demo_federations(output: Path) -> tuple[Path, Path]:
    """The demo's two federation files: a bank and a platform, and four banks.

    Raises:
        InputError: the output is no folder that can be written to.
    """
    from simulations.uci import write_parties
    from simulations.uci_banks import write_banks

    with _writing(output):
        return write_parties(output / "parties-uci"), write_banks(output / "banks-uci")


def _written(asked: Asked, output: Path, banks: int, partition: str) -> Path:
    """The federation file of the UCI data, divided as was asked."""
    with _writing(output):
        if asked.topology == Topology.HORIZONTAL:
            from simulations.uci_banks import write_banks

            folder = output / f"banks-uci-{banks}-{partition.replace(':', '-')}"
            return write_banks(folder, banks=banks, partition=partition)
        from simulations.uci import write_parties

        return write_parties(output / "parties-uci")


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """What the system says of a folder that can't be written to, in one sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{output}: is not a folder that can be written to ({error.strerror}); name another "
            "one with --output"
        ) from error


def vertical_overrides(config: FederationConfig, asked: Asked) -> dict[str, Any]:
    """Settings of a vertical run that replace the file's.

    Raises:
        InputError: something was asked that only several banks' network has.
    """
    for name, value in (
        ("--record-epsilon", asked.record_epsilon),
        ("--client-epsilon", asked.client_epsilon),
        ("--architecture", asked.architecture),
    ):
        if value is not None:
            raise InputError(
                f'{name}: is for several banks (topology = "horizontal"); {config.path} is '
                "vertical, where --label-epsilon protects the labels"
            )
    overrides: dict[str, Any] = {}
    if asked.label_epsilon is not None:
        overrides["label_epsilon"] = asked.label_epsilon
    if asked.model is not None:
        overrides["kind"] = SPLIT if asked.model == "neural" else asked.model
    if asked.disclosure is not None:
        if overrides.get("kind", config.model.get("kind")) != BOOSTED:
            raise InputError(
                f"--disclosure {asked.disclosure}: says what boosted trees disclose, and this "
                f'model is none; add --model boosted, or set [model] kind = "boosted" in '
                f"{config.path}"
            )
        overrides["disclosure"] = str(asked.disclosure)
    return overrides
