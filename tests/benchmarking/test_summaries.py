import math

import pytest

from keras_selectscale.benchmarking import summaries


def test_quartiles():
    assert summaries.quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == (2.0, 3.0, 4.0)
    assert summaries.quartiles([1.0, 2.0]) == (1.25, 1.5, 1.75)
    assert summaries.quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_a_ratio_is_taken_round_by_round():
    # Each round for itself: the medians would give 2 / 2.
    seconds = {"ours": [1.0, 20.0, 2.0], "theirs": [2.0, 8.0, 0.8]}
    assert summaries.ratios(seconds, "ours", "theirs") == (1.5, 2.5, 2.5)
    assert summaries.ratios(seconds, "theirs", "theirs") == (1.0, 1.0, 1.0)


def test_rounds_that_do_not_match_are_no_ratio():
    with pytest.raises(ValueError):
        summaries.ratios({"a": [1.0, 2.0], "b": [1.0]}, "a", "b")


def test_the_geometric_mean():
    assert summaries.geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert summaries.geometric_mean([1.0, 2.0, 4.0]) == pytest.approx(2.0)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_exact(power):
    sizes = [16, 32, 256, 2048]
    times = [3e-4 * size**power for size in sizes]
    assert math.isclose(summaries.exponent(sizes, times), power, abs_tol=1e-12)
