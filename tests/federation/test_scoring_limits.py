"""What no served model may do: rank borrowers the wrong way round, or add up to infinity."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from federation.errors import InputError
from federation.scoring import Calibration, ServedModel
from federation.scoring.rows import RowScorer
from tests.server.desk.models import served_model

MADE = served_model(())


@pytest.mark.parametrize("slope", [0.0, -0.0, -1.0, -5e-324])
def test_a_calibration_that_turns_scores_round_is_refused(slope: float) -> None:
    """Whoever signed it: the riskiest borrower would have the best score."""
    main = replace(MADE.served.main, calibration=Calibration(0.1, slope))
    content = json.loads(replace(MADE.served, variants=(main,)).to_json())
    with pytest.raises(InputError, match="is damaged"):
        ServedModel.from_json(content, "here")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of the overflow
@pytest.mark.parametrize("sign", [1, -1])
def test_weights_that_add_up_to_infinity_are_refused(sign: int) -> None:
    """One row and many say the same."""
    part = MADE.served.main.part
    weights = tuple(tuple(sign * 1.7e308 for _ in row) for row in part.weights)
    scorer = RowScorer(replace(part, weights=weights), MADE.served.features)
    row = list(MADE.row(3).values())
    with pytest.raises(InputError, match="must be finite"):
        scorer.points(row)
    with pytest.raises(InputError, match="must be finite"):
        scorer.batch(MADE.own)
