"""What a person sees of a horizontal run on the terminal at its end."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from federation.horizontal.plain_words import bank_words, coordinator_words
from simulations.banks_baselines import ALONE, POOLED
from simulations.banks_checks import COORDINATOR
from simulations.banks_record import FEDERATED, BanksFigures


def federated_name(figures: BanksFigures) -> str:
    """The model's row: how many banks, under which privacy, summed how."""
    plan = figures.plan
    privacy = []
    if plan.settings.record_epsilon is not None:
        privacy.append(f"DP ε = {plan.settings.record_epsilon:g} *")
    if plan.client_epsilon is not None:
        privacy.append(f"client-level ε = {plan.client_epsilon:g} *")
    words = [f"{len(figures.summaries)} banks", *(privacy or ["no DP"]), "encrypted aggregation"]
    return ", ".join(words)


def privacy_words(figures: BanksFigures) -> list[str]:
    """Every ε with its unit and scope."""
    plan = figures.plan
    words = []
    if plan.settings.record_epsilon is not None:
        words.append(
            f"ε = {plan.settings.record_epsilon:g} at δ = {plan.settings.record_delta:g} per one "
            "borrower's record, this run alone, at each bank"
        )
    if plan.client_epsilon is not None:
        words.append(
            f"ε = {plan.client_epsilon:g} at δ = {plan.client_delta:g} per one bank's whole data "
            "set, this run alone"
        )
    return words


def print_banks(figures: BanksFigures, console: Console) -> None:
    """The run in one table, then who learned what and what it cost."""
    simulated = "SIMULATED DATA. " if figures.config.simulated else ""
    rows = sum(int(summary["training_rows"]) for summary in figures.summaries.values())
    console.print(
        f"\n{simulated}{figures.config.note or figures.config.path}\n"
        f"{len(figures.summaries)} banks, {rows:,} borrowers to train on, "
        f"{len(figures.labels):,} to test on; {figures.plan.settings.architecture} of "
        f"{figures.first['parameters']:,} parameters, {figures.first['rounds']} rounds.\n",
        highlight=False,
    )
    print_test_table(figures, console)
    for bank, reason in figures.excluded.items():
        console.print(f"Left out: {bank}: {reason}", highlight=False, markup=False)
    for words in privacy_words(figures):
        console.print(f"* {words}.", highlight=False)
    for bank, summary in figures.summaries.items():
        console.print(f"Ledger of {bank}: {summary['ledger']['sentence']}.", highlight=False)
    _print_traffic(figures, console)
    sides = {
        "every bank": bank_words(figures.plan, len(figures.summaries), figures.first["rounds"]),
        f"the {COORDINATOR}": coordinator_words(figures.plan, tuple(figures.excluded)),
    }
    for side, said in sides.items():
        console.print(f"\n[bold]What {side} learned, and could work out from it[/bold]")
        for sentence in (*said.learned, *said.could_reconstruct):
            console.print(f"  - {sentence}", highlight=False)
        console.print(f"  - Never saw: {' '.join(said.never_saw)}", highlight=False)
    parts = ", ".join(f"{stage} {value:.1f}" for stage, value in figures.seconds.items())
    console.print(f"\nSeconds: {figures.total_seconds:.1f} in all ({parts}).", highlight=False)


def print_brief(figures: BanksFigures, console: Console) -> None:
    """The run as one row, with what its ε means."""
    console.print("\nSeveral banks, rows and labels of their own, one network:", highlight=False)
    print_test_table(figures, console)
    for words in privacy_words(figures):
        console.print(f"* {words}.", highlight=False)
    console.print(f"Seconds: {figures.total_seconds:.1f} in all.", highlight=False)


def print_test_table(figures: BanksFigures, console: Console) -> None:
    """Test metrics of the federated model and what it is compared with."""
    table = Table(title="Test metrics with 95% bootstrap intervals", title_justify="left")
    table.add_column("model", overflow="fold")
    for column in ("AUC", "AUC within banks", "log-loss"):
        table.add_column(column, justify="right", min_width=20)
    names = {
        ALONE: "each bank alone, no DP",
        FEDERATED: f"[bold]{federated_name(figures)}[/bold]",
        POOLED: "same network, pooled plaintext, no DP",
    }
    for name, shown in names.items():
        if name in figures.comparisons:
            metrics = figures.comparisons[name].metrics
            # Scores of several models side by side rank a bank's borrowers, not those of all banks.
            over_all = "–" if name == ALONE else str(metrics.auc)
            within = figures.within.auc(name)
            table.add_row(shown, over_all, str(within or "–"), str(metrics.log_loss))
    console.print(table)


def _print_traffic(figures: BanksFigures, console: Console) -> None:
    table = Table(title="What passed between the banks and the coordinator", title_justify="left")
    table.add_column("bank")
    for column in ("replies", "bytes sent", "bytes received", "seconds of work"):
        table.add_column(column, justify="right")
    for bank, summary in figures.summaries.items():
        table.add_row(
            bank,
            f"{len(figures.disclosures[bank]):,}",
            f"{figures.bytes_up[bank]:,}",
            f"{figures.bytes_down[bank]:,}",
            f"{summary['seconds']:.1f}",
        )
    console.print(table)
