"""`veilscore models`: what is registered, what answers, and how that is changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.desk.registry.registry import Registry

models_app = typer.Typer(
    help="The scoring desk's models: register, promote, compare, roll back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Desk = Annotated[Path, typer.Option(envvar="VEILSCORE_DESK", help="The desk's folder.")]
Why = Annotated[str, typer.Option(help="The reason, for the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, an object a line.")]
Name = Annotated[str, typer.Argument(help="A model, such as default:3.")]
DESK = Path("desk")


@models_app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A signed served model, served-NAME.json.")],
    why: Why,
    line: Annotated[str, typer.Option(help="The line of models that it belongs to.")] = "default",
    desk: Desk = DESK,
    as_json: AsJson = False,
) -> None:
    """Register a signed model, in staging."""
    from server.desk.registry.listing import model_line, read_document_file

    document = read_document_file(file)
    with _registry(desk) as registry:
        record = registry.add(document, by=_operator(), why=why, line=line)
        _write(model_line(record, registry.routing(), as_json))


@models_app.command("list")
def list_models(desk: Desk = DESK, as_json: AsJson = False) -> None:
    """List all models: stage, part in the routing, digest, run."""
    from server.desk.registry.listing import model_lines

    with _registry(desk) as registry:
        for line in model_lines(registry.models(), registry.routing(), as_json):
            _write(line)


@models_app.command()
def show(name: Name, desk: Desk = DESK, as_json: AsJson = False) -> None:
    """Show a model: its variants, its signer, its history with who and why."""
    from server.desk.registry.listing import shown_model

    with _registry(desk) as registry:
        for line in shown_model(registry, name, as_json):
            _write(line)


@models_app.command()
def promote(name: Name, why: Why, desk: Desk = DESK, as_json: AsJson = False) -> None:
    """Put a model into production; the one before it is archived in the same moment."""
    from server.desk.registry.listing import done_line

    with _registry(desk) as registry:
        former = registry.promote(name, by=_operator(), why=why)
    after = f"; '{former}' is archived" if former else ""
    sentence = f"'{name}' is in production{after}"
    _write(done_line(sentence, {"production": name, "archived": former}, as_json))


@models_app.command()
def challenge(
    name: Name,
    share: Annotated[float, typer.Option(help="Of the borrowers, such as 0.1; 0 ends it.")],
    why: Why,
    desk: Desk = DESK,
    as_json: AsJson = False,
) -> None:
    """Let a model answer a share of the borrowers, the same ones each time."""
    from server.desk.registry.listing import done_line

    with _registry(desk) as registry:
        registry.challenge(name, share, by=_operator(), why=why)
    sentence = f"'{name}' answers {share:.4%} of the borrowers" if share else f"'{name}' answers "
    sentence += "" if share else "no borrowers any more"
    _write(done_line(sentence, {"challenger": name, "share": share}, as_json))


@models_app.command()
def shadow(
    name: Name,
    why: Why,
    end: Annotated[bool, typer.Option("--end", help="End it.")] = False,
    desk: Desk = DESK,
    as_json: AsJson = False,
) -> None:
    """Let a model score along for comparison; its scores are told to nobody."""
    from server.desk.registry.listing import done_line

    with _registry(desk) as registry:
        registry.shadow(name, by=_operator(), why=why, end=end)
    sentence = f"'{name}' is {'no ' if end else 'a '}shadow{' any more' if end else ''}"
    _write(done_line(sentence, {"shadow": name, "ended": end}, as_json))


@models_app.command()
def rollback(
    why: Why,
    line: Annotated[str, typer.Argument(help="The line of models.")] = "default",
    desk: Desk = DESK,
    as_json: AsJson = False,
) -> None:
    """Go back to the model that was in production before."""
    from server.desk.registry.listing import done_line

    with _registry(desk) as registry:
        back, gone = registry.rollback(line, by=_operator(), why=why)
    sentence = f"'{back}' is in production again; '{gone}' is archived"
    _write(done_line(sentence, {"production": back, "archived": gone}, as_json))


@models_app.command()
def archive(name: Name, why: Why, desk: Desk = DESK, as_json: AsJson = False) -> None:
    """Take a model out of use; it stays in the registry."""
    from server.desk.registry.listing import done_line

    with _registry(desk) as registry:
        registry.archive(name, by=_operator(), why=why)
    _write(done_line(f"'{name}' is archived", {"archived": name}, as_json))


@models_app.command()
def verify(desk: Desk = DESK, as_json: AsJson = False) -> None:
    """Check the event record, the tables against it, and every model's signature."""
    from server.desk.registry.verification import report_lines, verify_registry

    with _registry(desk) as registry:
        report = verify_registry(registry)
    for line in report_lines(report, as_json):
        _write(line)
    if report.findings:
        raise typer.Exit(1)


@contextmanager
def _registry(desk: Path) -> Iterator[Registry]:
    """The registry of a desk's folder."""
    from server.desk.registry.registry import Registry
    from server.desk.registry.settings import read_desk_folder

    registry = Registry.open(read_desk_folder(desk))
    try:
        yield registry
    finally:
        registry.close()


def _operator() -> str:
    from server.desk.registry.listing import operator

    return operator()


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
