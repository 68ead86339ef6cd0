import json

import pytest

from keras_selectscale.training.run_state import RunState


def test_every_number_comes_back_as_it_was():
    state = RunState(
        step=7, rows=[{"epoch": 1, "loss": 0.1 + 0.2}], metrics=[[1 / 3], [7.0, 2.0]], seconds=1.5
    )
    assert RunState.from_json(json.loads(json.dumps(state.as_json()))) == state


@pytest.mark.parametrize(
    "values", [None, {}, {"step": "7", "rows": [], "metrics": [], "seconds": 0}, {"step": 7}]
)
def test_what_is_no_state_is_refused(values):
    with pytest.raises(ValueError, match="step"):
        RunState.from_json(values)
