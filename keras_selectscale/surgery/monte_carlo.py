"""Predictions with the drops on, many times over."""

import inspect
import numbers
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_selectscale.layers import factors
from keras_selectscale.surgery import drop_kinds
from keras_selectscale.surgery.drop_kinds import Which
from keras_selectscale.surgery.switching import drops_active, drops_of


class MonteCarlo(NamedTuple):
    """What the predictions are on average, and how far they spread.

    Attributes:
        mean: Mean over the samples, float64, in the structure of the model's outputs.
        deviation: Standard deviation over the samples, by their number (as `numpy.std` has it).
    """

    mean: Any
    deviation: Any


def mc_predict(
    model: keras.Model,
    x: Any,
    samples: int = 30,
    *,
    batch_size: int | None = None,
    seed: int | None = None,
    which: Which = "all",
) -> MonteCarlo:
    """Predicts with the drops on, and returns mean and deviation over the draws.

    The spread says how much the model depends on what is dropped: Monte-Carlo dropout (Gal and
    Ghahramani, ICML 2016). BatchNormalization stays in inference, weights and counts of steps as
    they are (`drops_active`). The samples are summed up while they come, in float64: the memory is
    that of three predictions, however many samples there are.

    Args:
        model: A model with drop layers; the layers may be nested.
        x: Inputs, as `model.predict` takes them: arrays or tensors or a structure of them, or a
            dataset that gives the same batches in the same order each time.
        samples: Number of predictions, at least 1.
        batch_size: As in `model.predict`.
        seed: Integer in [0, 2**31) for draws that repeat; the drops' own random states come back
            after. `None` draws on from their states.
        which: `"all"` for the drops of this package and of Keras, `"selectscale"` for this
            package's alone.

    Returns:
        `(mean, deviation)`, NumPy arrays of float64 in the structure of the model's outputs.

    Raises:
        TypeError: If an argument has the wrong type, or `x` can be read only once.
        ValueError: If `samples` or `seed` is out of range, or the model has no drop.

    Example:

    ```python
    mean, deviation = mc_predict(model, images, samples=100)
    ```
    """
    drop_kinds.check_which(which)
    drops = drops_of(model, which)
    if isinstance(samples, bool) or not isinstance(samples, numbers.Integral):
        raise TypeError(
            "Argument `samples` must be an integer. "
            f"Received: samples={samples!r} (of type {type(samples).__name__})"
        )
    if samples < 1:
        raise ValueError(f"Argument `samples` must be at least 1. Received: samples={samples!r}")
    if inspect.isgenerator(x) or isinstance(x, Iterator):
        raise TypeError(
            "Argument `x` must be inputs that can be read several times: arrays, or a dataset. "
            f"Received: x={x!r} (of type {type(x).__name__})"
        )
    before = [(g, np.array(keras.ops.convert_to_numpy(g.state.value))) for g in _generators(drops)]
    number = factors.as_seed(seed)
    try:
        if number is not None:
            _seed(before, number)
        with drops_active(model, which=which):
            drawn = (
                model.predict(x, batch_size=batch_size, verbose=0) for _ in range(int(samples))
            )
            result = _mean_and_deviation(drawn)
    finally:
        if number is not None:
            for generator, state in before:
                generator.state.assign(state)
    if samples > 1 and not any(np.any(d) for d in keras.tree.flatten(result.deviation)):
        warnings.warn(
            f"All {samples} predictions are equal: the drops of {model.name!r} change nothing, as "
            "at a retaining rate of 1 or at the start of a curriculum, or nothing that shows.",
            stacklevel=2,
        )
    return result


def _mean_and_deviation(drawn: Iterator[Any]) -> MonteCarlo:
    """Sums up as Welford does: a sum of squares would lose what two near samples differ in."""
    count, means, squares, structure = 0, [], [], None
    for prediction in drawn:
        structure = prediction
        values = [np.asarray(value, "float64") for value in keras.tree.flatten(prediction)]
        count += 1
        if count == 1:
            means, squares = values, [np.zeros_like(value) for value in values]
            continue
        for value, mean, square in zip(values, means, squares, strict=True):
            away = value - mean
            mean += away / count
            square += away * (value - mean)
    deviations = [np.sqrt(square / count) for square in squares]
    return MonteCarlo(
        keras.tree.pack_sequence_as(structure, means),
        keras.tree.pack_sequence_as(structure, deviations),
    )


def _generators(drops: list[keras.Layer]) -> list[keras.random.SeedGenerator]:
    found = [
        value
        for drop in drops
        for layer in drop_kinds.all_layers(drop)
        for value in vars(layer).values()
        if isinstance(value, keras.random.SeedGenerator)
    ]
    return list({id(generator): generator for generator in found}.values())


def _seed(generators: list[tuple[keras.random.SeedGenerator, np.ndarray]], seed: int) -> None:
    # One seed of its own for each, in the order of the layers; 31 bits fit every backend's state.
    children = np.random.SeedSequence(seed).spawn(len(generators))
    for (generator, state), child in zip(generators, children, strict=True):
        first = int(child.generate_state(1)[0] >> 1)
        generator.state.assign(np.array([first, 0], state.dtype))
