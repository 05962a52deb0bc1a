"""`veilscore receivables`: one invoice's life on a real chain, as a timeline."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from simulations.financing_story import Step, Story


def receivables(
    chain: Annotated[
        str,
        typer.Option(help="anvil or eth-tester. Default: anvil where it is installed."),
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="No timeline.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
    ] = False,
) -> None:
    """Confirm, split, finance, pay in part, default, recover: one invoice's life on a real chain.

    A chain is started on this machine and the contracts are deployed there. A core enterprise
    confirms an invoice, two tiers of suppliers pass parts of it down, the third has its part
    financed on a signed score, the debtor pays late. What must be refused is tried too. Every
    balance is compared after every step with what plain arithmetic says.
    """
    from simulations.financing_story import tell

    shown = not (quiet or as_json)
    story = tell(chain, _say if shown else _silent)
    if as_json:
        sys.stdout.write(json.dumps(_record(story), indent=2) + "\n")
    elif not quiet:
        _end(story)


def _silent(step: Step) -> None:
    """Nothing."""


def _say(step: Step) -> None:
    from rich.console import Console

    at = f"{step.at:%Y-%m-%d %H:%M}"
    if step.refused:
        result = f"[yellow]refused: {step.refused}[/yellow]"
    else:
        amount = "" if step.amount is None else f"{step.amount // 100:,}.{step.amount % 100:02}"
        result = f"[bold]{amount:>12}[/bold]" + (
            f"  [dim]{step.gas:,} gas[/dim]" if step.gas else ""
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[cyan]{at}[/cyan]  {step.what:<70} {result}")


def _end(story: Story) -> None:
    sys.stdout.write(
        f"All {story.checks} comparisons of balances, exposures and refusals with plain arithmetic "
        f"held ({story.chain}).\n"
    )
    for name, amount in story.balances.items():
        sys.stdout.write(f"  {name:<9}{amount // 100:>12,}.{amount % 100:02}\n")


def _record(story: Story) -> dict[str, Any]:
    return {
        "chain": story.chain,
        "comparisons": story.checks,
        "balances_minor": story.balances,
        "steps": [
            {
                "at": step.at.isoformat(),
                "what": step.what,
                "amount_minor": step.amount,
                "gas": step.gas,
                "refused": step.refused or None,
            }
            for step in story.steps
        ],
    }
