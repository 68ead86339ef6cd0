import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from keras_selectscale.tuning import SearchDisplay, SearchFolder
from keras_selectscale.tuning.tuner_checks import check_listener
from tests.tuning.folders import TRIALS, finished, scale


def test_a_line_a_trial_where_there_is_no_terminal(tmp_path):
    text = io.StringIO()
    search, _ = finished(tmp_path, TRIALS[:1], trials=6)
    display = SearchDisplay(SearchFolder(tmp_path), search, Console(file=text, width=60))
    with display:
        finished(tmp_path, TRIALS, trials=6)
        display.on_trial_begin(SimpleNamespace(trial_id="05"))
        display.on_trial_end(SimpleNamespace(trial_id="05"))
        display.refresh()
    lines = text.getvalue().splitlines()
    assert lines[0] == "resuming; trials done: 1/6"
    assert len(lines) == 5
    assert lines[1].startswith(
        "2/6  trial 01: selectscale, top 0.5, retaining 0: validation error 10.00 ± 1.41%"
    )
    assert lines[2].startswith("3/6  trial 02: selectout, top 0.5, retaining 0.7: ")
    assert "(best 4.50 ± 0.71%, trial 03)" in lines[3]
    assert "trial 04: selectscale, top 1, retaining 0.9: failed, FloatingPointError" in lines[4]


def test_a_table_of_the_best_on_a_terminal(tmp_path):
    text = io.StringIO()
    search, folder = finished(tmp_path, TRIALS, trials=6)
    console = Console(file=text, width=80, force_terminal=True)
    with SearchDisplay(folder, search, console) as display:
        display.on_trial_begin(SimpleNamespace(trial_id="05"))
        display.on_epoch_end(SimpleNamespace(trial_id="05"), 1, 2)
        display.refresh()
    shown = text.getvalue()
    assert "trials done: 5/6, failed: 1" in shown and "trial 05, seed 1, epoch 3" in shown
    rows = [line for line in shown.split("best trials")[-1].splitlines() if "±" in line]
    assert [row.split()[0] for row in rows] == ["03", "02", "00", "01"]


def test_what_else_is_searched_is_shown(tmp_path):
    from keras_selectscale.tuning.report import describe

    values = {**scale(0.2, 0.4), "recipe/learning_rate": 0.03, "tuner/epochs": 2}
    search, folder = finished(
        tmp_path, [(values, [1.0, 2.0])], tuner="hyperband", tune={"learning_rate": (0.03, 0.1)}
    )
    assert (
        describe(search, folder.read_trials()[0])
        == "selectscale, top 0.2, retaining 0.4, learning rate 0.03, 2 epochs"
    )


def test_objects_of_another_class_are_named(tmp_path):
    search, folder = finished(tmp_path, TRIALS)
    for name, bad in (("folder", "x"), ("search", None), ("console", np.zeros(2))):
        given = {"folder": folder, "search": search, "console": None, name: bad}
        with pytest.raises(TypeError, match=f"Argument `{name}` must be a"):
            SearchDisplay(**given)
    with pytest.raises(TypeError, match="Argument `listener` must be None or an object with"):
        check_listener("x")
