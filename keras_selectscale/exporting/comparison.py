"""Compares the outputs of a file with those of the model."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting.formats import Consumer
from keras_selectscale.exporting.inference import Inference
from keras_selectscale.exporting.signature import Signature
from keras_selectscale.surgery.drop_kinds import all_layers
from keras_selectscale.surgery.random_inputs import random_inputs

Arrays = Mapping[str, np.ndarray]

# Two batch sizes, because the batch size must be free.
BATCH_SIZES = (3, 1)
# Largest relative change of a float32 number by rounding.
ROUNDING = 2.0**-24
# Two correct computations may differ by more than the noise of a few draws.
NOISE_FACTOR = 4.0
# With a larger tolerance, the comparison would prove nothing.
LARGEST_TOLERANCE = 1e-3


def made_up_inputs(signature: Signature, *, seed: int = 0) -> Iterator[list[dict[str, np.ndarray]]]:
    """Yields random batches of different sizes and values; the caller uses the first that run."""
    batch_sizes = [signature.batch_size] if signature.batch_size else BATCH_SIZES
    for batches in random_inputs(signature.specs, batch_sizes, seed):
        yield [dict(zip(signature.names, batch, strict=True)) for batch in batches]


def largest_difference(
    consumer: Consumer,
    signature: Signature,
    batches: Sequence[Arrays],
    expected: Sequence[Arrays],
) -> float:
    """Returns the largest difference between a consumer's outputs and the model's.

    Raises:
        ValueError: If the inputs or outputs differ from the model's.
    """
    inputs = _match("inputs", consumer.inputs, [list(signature.names), list(signature.other_names)])
    largest = 0.0
    for batch, outputs in zip(batches, expected, strict=True):
        values = list(batch.values())
        found = consumer.run({theirs: values[number] for theirs, number in inputs.items()})
        names = _match("outputs", list(found), [list(outputs)])
        wanted = list(outputs.values())
        for theirs, number in names.items():
            largest = max(largest, difference(found[theirs], wanted[number]))
    return largest


def difference(found: Any, expected: Any) -> float:
    """Returns the largest |found − expected| over max(1, largest |expected|).

    NaN equals NaN, and infinity equals infinity. The difference of arrays of different shapes is
    infinite.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        return float("inf")
    if found.dtype.kind in "OSU" or expected.dtype.kind in "OSU":
        return 0.0 if np.array_equal(found, expected) else float("inf")
    found, expected = found.astype("float64"), expected.astype("float64")
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    if same.all():
        return 0.0
    apart = np.abs(found - expected)[~same].max()
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return float(apart / scale) if np.isfinite(apart) else float("inf")


def tolerance_of(
    inference: Inference,
    model: keras.Model,
    batches: Sequence[Arrays],
    expected: Sequence[Arrays],
    smallest: float,
) -> float:
    """Returns the largest difference that two correct computations in float32 may have.

    The depth of a model, the lengths of its sums and its weights determine how far rounding errors
    grow. Rounding acts like an error in the weights: a sum of n products changes as if each weight
    were off by about √n roundings. The outputs are therefore computed again with every weight
    changed at random by that much.

    Args:
        inference: The graph of the model's inference.
        model: The model. Its weights are changed temporarily.
        batches: Inputs.
        expected: Its outputs.
        smallest: Tolerance if the noise is smaller.
    """
    lookups = {
        id(weight.value)
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.Embedding)
        for weight in layer.weights
    }
    weights = [v for v in inference.variables(model) if v.dtype.name == "float32"]
    before = [weight.numpy() for weight in weights]
    largest = 0.0
    try:
        for seed in range(2):
            generator = np.random.default_rng(seed)
            for weight, value in zip(weights, before, strict=True):
                # A lookup sums nothing.
                terms = 1 if id(weight) in lookups or value.ndim < 2 else value[..., 0].size
                share = ROUNDING * np.sqrt(terms) * generator.uniform(-1, 1, value.shape)
                weight.assign(value * (1 + share).astype("float32"))
            for batch, outputs in zip(batches, expected, strict=True):
                found = inference.run(batch)
                largest = max(largest, *(difference(found[name], outputs[name]) for name in found))
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value)
    return max(smallest, min(LARGEST_TOLERANCE, NOISE_FACTOR * largest))


def _match(what: str, theirs: list[str], ours: list[list[str]]) -> dict[str, int]:
    """Returns the index of the model's input or output for each name in the file."""
    for names in ours:
        if sorted(names) == sorted(theirs):
            return {name: names.index(name) for name in theirs}
    first = ours[0]
    if len(theirs) == len(first) == 1:
        return {theirs[0]: 0}
    # Names of unnamed outputs end in numbers: output_0 and output_1 in Keras, Identity:0 and
    # Identity_1:0 in ONNX.
    parts = [re.fullmatch(r"(.*?)(?:_(\d+))?(?::0)?", name) for name in theirs]
    numbers = [int(part[2] or 0) for part in parts if part]
    alike = len({part[1] for part in parts if part}) == 1
    if len(theirs) == len(first) == len(set(numbers)) and alike:
        ordered = sorted(zip(numbers, theirs, strict=True))
        return {name: number for number, (_, name) in enumerate(ordered)}
    raise ValueError(f"Its {what} are {sorted(theirs)}, the model's {sorted(first)}.")
