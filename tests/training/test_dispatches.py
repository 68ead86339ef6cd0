import pytest

from keras_selectscale.training import Devices
from keras_selectscale.training.dispatches import as_begun, dispatches, dividing, steps_per_dispatch

jax = pytest.importorskip("jax")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(390, 39), (391, 23), (781, 11), (50, 50), (100, 50), (49, 49), (7, 7), (0, 1), (53, 50)],
)
def test_the_steps_of_a_dispatch_divide_the_epoch(steps, expected):
    assert dividing(steps) == expected
    if steps and steps != 53:
        # One loop, and one step for the smaller last batch.
        parts = dispatches(0, steps * 128 + 80, 128, expected)
        assert {(count, size) for _, count, size in parts} == {(expected, 128), (1, 80)}


@pytest.mark.parametrize(
    ("given", "recorded", "platform", "expected"),
    [
        (None, "auto", "gpu", 39),
        (None, None, "gpu", 50),  # A run of an earlier version.
        (None, 20, "gpu", 20),
        (None, 20, "cpu", 20),
        (None, None, "cpu", 1),
        (None, "auto", "cpu", 1),
        (7, 20, "gpu", 7),
        (7, None, "gpu", 7),
    ],
)
def test_a_run_goes_on_with_the_loops_that_it_began_with(
    monkeypatch, given, recorded, platform, expected
):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    devices = as_begun(Devices(steps_per_dispatch=given), recorded)
    assert steps_per_dispatch(devices, 390) == expected
