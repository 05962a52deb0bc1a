"""How trainings converged: by round, or by tree."""

from __future__ import annotations

from collections.abc import Sequence

from federation.report import plots
from federation.report.figures import RoundPoint, TrainingCourse
from federation.report.markup import Html, element
from federation.report.performance import figure
from federation.report.roles import ModelRole


def convergence_section(
    rounds: Sequence[RoundPoint], step: str = "round", courses: Sequence[TrainingCourse] = ()
) -> Html:
    """Validation AUC and training loss by round, or by tree.

    Args:
        rounds: of the model that leads the report.
        step: what they are.
        courses: of further trainings.
    """
    measured = [(p.validation_auc, p.round) for p in rounds if p.validation_auc is not None]
    further = [_course(number, course) for number, course in enumerate(courses, start=1)]
    if not measured and all(point.train_loss is None for point in rounds):
        sentence = element("p", f"{len(rounds)} {step}s; no figure of them was recorded.")
        first: list[Html] = [sentence]
    else:
        note = f"{len(rounds)} {step}s."
        if measured and step == "round":
            best, number = max(measured)
            note = (
                f"Best validation AUC {best:.4f} in round {number} of {rounds[-1].round}. The "
                "validation fold is part of the training borrowers and joins them once the penalty "
                "is chosen; no test borrower takes part."
            )
        elif measured:
            best, number = max(measured)
            note = (
                f"Best validation AUC {best:.4f} at tree {number} of {rounds[-1].round}. The "
                "validation fold decides when no more trees are grown; no test borrower takes part."
            )
        first = [figure("Validation AUC and training loss", plots.convergence(rounds, step), note)]
    return element("section", element("h2", "Convergence"), *first, *further, id="convergence")


def _course(number: int, course: TrainingCourse) -> Html:
    known = any(
        figure is not None
        for point in course.rounds
        for figure in (point.validation_auc, point.train_loss, point.validation_loss)
    )
    if not known:
        words = (
            f"{course.name}: {len(course.rounds)} {course.step}s; no figure of them was recorded."
        )
        return element("p", words)
    drawn = plots.convergence(course.rounds, course.step, number, ModelRole.FEDERATED_OTHER)
    return figure(course.name, drawn, course.note)
