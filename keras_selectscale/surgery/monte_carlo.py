"""Monte-Carlo predictions, with the drops active."""

import contextlib
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import keras
import numpy as np

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import (
    ArgumentValueError,
    as_choice,
    as_integer,
    as_number,
    type_error,
    value_error,
)
from keras_selectscale.layers import factors
from keras_selectscale.object_checks import as_boolean, as_positive_integer, as_sequence
from keras_selectscale.surgery import drop_kinds, repeated_calls
from keras_selectscale.surgery.drop_kinds import Which
from keras_selectscale.surgery.moments import Moments
from keras_selectscale.surgery.switching import drops_of

MOST_SAMPLES = 2**31 - 1
Verbose = Literal["auto", 0, 1]


class _MeanAndDeviation(NamedTuple):
    mean: Any
    deviation: Any


class MonteCarlo(_MeanAndDeviation):
    """Mean and spread of predictions; unpacks as `mean, deviation`.

    All attributes are NumPy arrays in the structure of the model's outputs.

    Attributes:
        mean: Mean over the samples, float64.
        deviation: Standard deviation over the samples, float64, divided by their number as in
            `numpy.std`.
        entropy: Entropy of the mean probabilities over the last axis, in nats: the total
            uncertainty of a classifier. 0 is certain, log(classes) is the most.
        mutual_information: `entropy` minus the mean entropy of the samples, in nats: the part that
            comes from the model, on which the draws disagree (BALD; Gal, Islam and Ghahramani,
            ICML 2017). Like `entropy`, it raises a `ValueError` if the outputs are not
            probabilities.
        quantiles: The requested quantiles, float64 of shape (quantiles, inputs, ...), or `None`.
        samples: All predictions, of shape (samples, inputs, ...), if requested, or `None`.
    """

    quantiles: Any = None
    samples: Any = None
    _entropies: Any = None

    @property
    def entropy(self) -> Any:
        return self._of_classes(0)

    @property
    def mutual_information(self) -> Any:
        return self._of_classes(1)

    def _of_classes(self, which: int) -> Any:
        if self._entropies is None:
            raise ValueError(
                "Entropies need outputs that are probabilities: not negative, with sums of 1 over "
                "the last axis. Call `mc_predict(…, from_logits=True)` if they are logits."
            )
        return self._entropies[which]


@named_arguments
def mc_predict(
    model: keras.Model,
    x: Any,
    samples: int = 30,
    *,
    batch_size: int | None = None,
    seed: int | None = None,
    which: Which = "all",
    from_logits: bool = False,
    quantiles: Sequence[float] = (),
    return_samples: bool = False,
    verbose: Verbose = "auto",
) -> MonteCarlo:
    """Predicts many times with active drops, and returns the mean and the spread over the draws.

    The spread shows how much the model depends on what is dropped: Monte-Carlo dropout (Gal and
    Ghahramani, ICML 2016). BatchNormalization stays in inference mode, and weights and counts of
    steps do not change (`drops_active`). Several samples are computed in one call of the model if
    all drops draw for each row of a batch (all drops of this package and of Keras do, except for a
    `Dropout` whose `noise_shape` covers the batch); the traced function is kept for the next call.
    Moments are accumulated in float64, so that the memory does not grow with `samples`.

    Args:
        model: A model with drop layers; the layers may be nested.
        x: Inputs as for `model.predict`: arrays or tensors, a structure of them, or a dataset,
            which is read once.
        samples: Number of predictions, at least 1.
        batch_size: Number of rows in one call of the model. By default 32 for large inputs, and up
            to 256 for small ones. A dataset has its own batches, and more rows only if they fit.
        seed: Integer in [0, 2**31) for reproducible draws; the random states of the drops are then
            restored. `None` continues from their states.
        which: `"all"` for the drops of this package and of Keras, `"selectscale"` for those of this
            package only.
        from_logits: Whether the outputs are logits, to which the entropies apply the softmax. Mean,
            deviation, quantiles and samples remain those of the outputs.
        quantiles: Numbers in [0, 1]. They need all samples in memory.
        return_samples: Whether to return all predictions.
        verbose: 1 shows a progress bar, 0 nothing; `"auto"` shows it in a terminal.

    Returns:
        A `MonteCarlo`, which unpacks as `mean, deviation`. Both are NumPy arrays of float64 in the
        structure of the model's outputs.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, or the model has no drop.

    Example:

    ```python
    mean, deviation = mc_predict(model, images, samples=100)
    uncertain = mc_predict(model, images, samples=100).mutual_information.argsort()[-10:]
    ```
    """
    drop_kinds.check_which(which)
    drops = drops_of(model, which)
    samples = _as_samples(samples)
    as_boolean("from_logits", from_logits)
    as_boolean("return_samples", return_samples)
    levels = [as_number("quantiles", level) for level in as_sequence("quantiles", quantiles)]
    if any(not 0 <= level <= 1 for level in levels):
        raise value_error("quantiles", "numbers in [0, 1]", quantiles)
    if not isinstance(verbose, int) or verbose not in (0, 1):
        as_choice("verbose", verbose, ("auto",))
    if batch_size is not None:
        batch_size = as_positive_integer("batch_size", batch_size, MOST_SAMPLES)
    _check_inputs(x)
    _check_batch_axis(model, x)
    number = None if seed is None else as_integer("seed", seed, 0, factors.MAX_SEED)
    done: list[Moments] = []
    with contextlib.nullcontext() if number is None else fixed_draws(drops, number):
        for drawn in repeated_calls.predictions(
            model, x, samples, drops, batch_size=batch_size, which=which, verbose=verbose
        ):
            moments = Moments(from_logits=from_logits, keep=return_samples or bool(levels))
            for chunk in drawn:
                moments.add(chunk)
            done.append(moments)
    if not done:
        raise value_error("x", "at least one input", x)
    result = _joined(done, levels, return_samples)
    if samples > 1 and not any(np.any(d) for d in keras.tree.flatten(result.deviation)):
        repeated_calls.warn_that_nothing_changes(model, samples)
    return result


def _check_inputs(x: Any) -> None:
    """Checks that inputs are arrays with a batch axis, a structure of them, or a dataset."""
    expected = "arrays or tensors with a batch axis, a structure of them, or a dataset"
    nothing = isinstance(x, str | bytes | bytearray | set | frozenset | range | type)
    some = any(hasattr(x, name) for name in ("shape", "__iter__", "__getitem__"))
    if nothing or not some:
        raise type_error("x", expected, x)
    parts = keras.tree.flatten(x) if isinstance(x, Sequence | Mapping) else []
    if any(isinstance(part, numbers.Number) for part in parts):  # Keras would print them all.
        raise type_error("x", "arrays, not lists of numbers", x)
    for part in parts or [x]:
        symbolic = isinstance(part, keras.KerasTensor)
        if symbolic or str(getattr(part, "shape", None)) in ("()", "torch.Size([])"):
            raise type_error("x", expected, x)


def _as_samples(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise type_error("samples", "an integer", value)
    if value < 1:
        raise value_error("samples", "at least 1", value)
    if value > MOST_SAMPLES:
        raise value_error("samples", f"at most {MOST_SAMPLES:,}", value)
    return int(value)


def _joined(done: list[Moments], levels: list[float], return_samples: bool) -> MonteCarlo:
    """Joins the inputs of all batches."""

    def joined(parts: list[Any], axis: int = 0) -> Any:
        return keras.tree.map_structure(lambda *values: np.concatenate(values, axis), *parts)

    result = MonteCarlo(
        joined([moments.mean for moments in done]), joined([moments.deviation for moments in done])
    )
    if all(moments.are_probabilities for moments in done):
        result._entropies = tuple(
            joined([getattr(moments, name) for moments in done])
            for name in ("entropy", "mutual_information")
        )
    if levels:
        result.quantiles = joined([moments.quantiles(levels) for moments in done], 1)
    if return_samples:
        result.samples = joined([moments.samples for moments in done], 1)
    return result


@contextlib.contextmanager
def fixed_draws(drops: list[keras.Layer], seed: int) -> Iterator[None]:
    """Lets drops draw from a seed, and restores their random states."""
    generators = _generators(drops)
    states = [np.array(keras.ops.convert_to_numpy(g.state.value)) for g in generators]
    try:
        _seed(generators, states, seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.state.assign(state)


def _generators(drops: list[keras.Layer]) -> list[keras.random.SeedGenerator]:
    found = [
        value
        for drop in drops
        for layer in drop_kinds.all_layers(drop)
        for value in vars(layer).values()
        if isinstance(value, keras.random.SeedGenerator)
    ]
    return list({id(generator): generator for generator in found}.values())


def _seed(
    generators: list[keras.random.SeedGenerator], states: list[np.ndarray], seed: int
) -> None:
    # A different seed for each, in the order of the layers; 31 bits fit every backend's state.
    children = np.random.SeedSequence(seed).spawn(len(generators))
    for generator, state, child in zip(generators, states, children, strict=True):
        first = int(child.generate_state(1)[0] >> 1)
        generator.state.assign(np.array([first, 0], state.dtype))


def _check_batch_axis(model: Any, x: Any) -> None:
    """Raises a `ValueError` if `x` is one input; Keras would name a shape of all draws together."""
    inputs, shape = getattr(model, "inputs", None), getattr(x, "shape", None)
    if not isinstance(inputs, list) or len(inputs) != 1 or shape is None:
        return
    expected = tuple(inputs[0].shape)
    if len(expected) > 2 and len(shape) == len(expected) - 1:
        received = f"x.shape={tuple(shape)} for inputs of shape {expected}"
        message = f"Argument `x` must have a batch axis, as `x[None]` has. Received: {received}"
        raise ArgumentValueError.about("x", message)
