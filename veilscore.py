"""The command line of veilscore, assembled from the rooms' own `cli` modules.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import sys

import typer
import typer.core

import clients.cli
import contracts.cli
import iot.cli
import server.desk.cli
import simulations.cli
from federation.errors import VeilscoreError

# With rich installed but its markup off, typer 0.20 prints '\\[default: ...]', backslash and all.
typer.core.HAS_RICH = False

app = typer.Typer(
    name="veilscore",
    help=(
        "Privacy-preserving federated credit scoring: a bank and its partners train one default "
        "model while every row stays home. Start with `veilscore demo`, or `veilscore init DIR` "
        "for a federation of your own."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
simulations.cli.add_commands(app)
clients.cli.add_commands(app)
server.desk.cli.add_commands(app)
contracts.cli.add_commands(app)
iot.cli.add_commands(app)


def main() -> None:
    """Run a command; what a person got wrong is one sentence on stderr and exit status 2."""
    try:
        app(prog_name="veilscore")
    except VeilscoreError as error:
        sys.stderr.write(f"veilscore: {error}\n")
        raise SystemExit(2) from None
    except OSError as error:  # a folder for a file, a full disk: the system says it in a word
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        sys.stderr.write(f"veilscore: {where}{error.strerror or type(error).__name__}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("veilscore: stopped\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
