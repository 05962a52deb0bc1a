"""How several banks' training went and how it was summed, as the report shows it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from federation.horizontal.plan import HorizontalPlan
from federation.report.banks_figures import AggregationTerms, Course, LossRound
from simulations.banks_record import BanksFigures


def course_of(figures: BanksFigures) -> Course:
    """Rounds, losses and settings of the training."""
    plan, rounds = figures.plan, int(figures.first["rounds"])
    losses = tuple(
        LossRound(int(point["round"]), point["training_loss"], point.get("validation_loss"))
        for point in figures.first["curve"]
    )
    return Course(
        rounds,
        plan.settings.rounds,
        losses,
        _course_sentence(plan, rounds, losses),
        tuple(_settings(plan, figures)),
        tuple(
            (bank, int(summary["update_norms_clipped"]))
            for bank, summary in figures.summaries.items()
        ),
    )


def _course_sentence(plan: HorizontalPlan, rounds: int, losses: Sequence[LossRound]) -> str:
    most, patience = plan.settings.rounds, plan.settings.patience
    if plan.is_private:
        return (
            f"{rounds} rounds. There is no curve of losses: a loss is computed from borrowers' "
            "outcomes, the noise does not cover it, so under differential privacy none leaves a "
            "bank. For the same reason nothing stops the training early."
        )
    if not losses:
        return f"{rounds} rounds. No losses were summed: nothing stops this training early."
    measured = [(one.validation, one.round) for one in losses if one.validation is not None]
    best = ""
    if measured:
        best = f" The lowest, {min(measured)[0]:.4f}, came after round {min(measured)[1]}"
    if rounds < most:
        kept = f"{best}, whose weights are the final model." if best else ""
        return (
            f"Stopped after round {rounds} of at most {most}: the validation loss had not fallen "
            f"for {patience} rounds.{kept}"
        )
    return f"All {rounds} rounds took place.{best}{'.' if best else ''}"


def _settings(plan: HorizontalPlan, figures: BanksFigures) -> Iterable[tuple[str, str]]:
    settings = plan.settings
    proximal = f", FedProx with μ = {settings.proximal_mu:g}" if settings.proximal_mu else ""
    yield "Network", f"{settings.architecture.upper()}, {figures.first['parameters']:,} parameters"
    yield (
        "Inputs",
        f"{len(plan.schema.numeric)} numeric, {len(plan.schema.categorical)} categorical",
    )
    batches = f"batches of {settings.batch_size}"
    if settings.record_epsilon is not None and settings.sampling_rate is not None:
        batches = f"batches that hold each record with a chance of {settings.sampling_rate:g}"
    yield (
        "Local training",
        f"{settings.local_epochs:g} passes a round in {batches}, {settings.local_optimiser} at "
        f"{settings.learning_rate:g}{proximal}",
    )
    yield "Server's step", f"{settings.server_optimiser} at {settings.server_learning_rate:g}"
    yield "Norm bound of an update", f"{settings.update_norm_bound:g}"
    if settings.record_epsilon is not None:
        noise = (
            f"{bank} {float(summary['noise_multiplier']):.3g}"
            for bank, summary in figures.summaries.items()
            if summary["noise_multiplier"]
        )
        yield "Norm of a borrower's gradient", f"{settings.max_grad_norm:g} at most"
        yield "Noise multiplier of DP-SGD", ", ".join(noise)
    fitted = figures.first.get("calibration")
    if fitted:
        noise_words = ""
        if plan.calibration_noise is not None:
            noise_words = f" with noise of σ = {plan.calibration_noise.sigma:g} from each bank"
        yield (
            "Calibration of the log-odds",
            f"times {fitted['slope']:.3f}, plus {fitted['intercept']:.3f}; fitted on sums of "
            f"counts{noise_words}",
        )
    yield "Seed", str(settings.seed)
    yield "SHA-256 of the weights", str(figures.first["model_digest"])


def aggregation_of(figures: BanksFigures) -> AggregationTerms:
    """Parameters of the encrypted sums."""
    from federation.aggregation.seal_ring import DEGREE, PRIME_BITS
    from federation.aggregation.sum_ciphers import sum_cipher

    plan = figures.plan
    modulus = sum_cipher(plan.scheme, len(plan.banks)).modulus
    contributed = [
        int(entry.body["bytes"])
        for entries in figures.disclosures.values()
        for entry in entries
        if entry.body["kind"] == "contributed"
    ]
    return AggregationTerms(
        (
            ("Scheme", f"{plan.scheme.upper()}, secret-key encryption, additions only"),
            ("Ring", f"degree {DEGREE:,}, modulus of {PRIME_BITS} bits: above 128-bit security"),
            ("Sums", f"exact integers modulo 2^{modulus.bit_length() - 1}"),
            ("Banks in the federation", str(len(plan.banks))),
            ("Fewest banks in a sum", str(plan.minimum_banks)),
            ("Dropouts survived in a step", str(plan.dropouts)),
        ),
        int(figures.first["parameters"]),
        # Most contributions are updates; scaling sums and test counts are few and smaller.
        round(statistics.median(contributed)) if contributed else 0,
    )
