"""From what a person asked on the command line to the federation and the settings to train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.federation_file import FederationConfig, Topology, read_federation
from federation.errors import InputError

SPLIT = "split"


@dataclass(frozen=True)
class Asked:
    """What was asked for; None where nothing was said."""

    model: str | None = None
    topology: str | None = None
    label_epsilon: float | None = None
    record_epsilon: float | None = None
    client_epsilon: float | None = None
    architecture: str | None = None

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
        asked = {
            "record_epsilon": self.record_epsilon,
            "client_epsilon": self.client_epsilon,
            "architecture": self.architecture,
        }
        return {key: value for key, value in asked.items() if value is not None}


def federation_to_train(
    config: Path | None, asked: Asked, output: Path, banks: int, partition: str
) -> Path:
    """The federation file: the one that was named, or one written for the UCI data.

    Raises:
        InputError: the file is of another topology than was asked for.
    """
    if config is None:
        if asked.topology == Topology.HORIZONTAL:
            from simulations.uci_banks import write_banks

            folder = output / f"banks-uci-{banks}-{partition.replace(':', '-')}"
            return write_banks(folder, banks=banks, partition=partition)
        from simulations.uci import write_parties

        return write_parties(output / "parties-uci")
    if asked.topology is not None:
        read_federation(config).require(Topology(asked.topology))
    return config


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
    return overrides
