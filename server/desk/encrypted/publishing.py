"""Puts the label party's own part of a served model up for encrypted scoring."""

from __future__ import annotations

from pathlib import Path

from clients.vault import load_served_model
from federation.encrypted_scoring import from_part
from federation.errors import InputError
from server.desk.encrypted.model_files import save_encrypted_model
from server.desk.settings import SETTINGS_FILE, read_settings
from server.desk.single_model import served_file

FOLDER = "encrypted"


def publish(run: Path, training: str, desk: Path, name: str) -> list[str]:
    """Write DESK/encrypted/NAME.json; returns what applicants will see, a sentence each.

    The variant without feature parties is taken: an applicant brings all features itself.

    Args:
        run: a run's folder.
        training: which one's model, of several.
        desk: the desk's folder.
        name: that applicants ask for.

    Raises:
        InputError: there is no such model or desk, or the model does not suit.
    """
    settings = read_settings(desk)
    if not name or not all(sign.isalnum() or sign in "-_." for sign in name) or name[0] == ".":
        raise InputError(
            f"'{name[:60]}' is no model's name; letters, digits, '-' and '_' are right"
        )
    alone = load_served_model(served_file(run, training), None).alone
    model = from_part(alone.part, alone.calibration)
    named = settings.others.get("encrypted", {}).get("folder")
    folder = desk / (named if isinstance(named, str) else FOLDER)
    save_encrypted_model(folder / f"{name}.json", model)
    features = ", ".join(binning.feature for binning in alone.part.binnings)
    said = [
        f"Wrote {folder / name}.json from variant '{alone.name}'.",
        f"Applicants will see the names, bin borders and categories of: {features}. No weight.",
    ]
    if named is None:
        said.append(
            f'Add to {desk / SETTINGS_FILE}, and start again:  [encrypted]  folder = "{FOLDER}"'
        )
    return said
