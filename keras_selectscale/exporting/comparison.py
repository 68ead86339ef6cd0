"""The outputs of a file beside the model's."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from keras_selectscale.exporting.exported_file import Consumer
from keras_selectscale.exporting.signature import Signature

Arrays = Mapping[str, np.ndarray]

# One and several, since the batch size is to be free.
BATCH_SIZES = (3, 1)
# For a size that the model leaves free: the first that it takes.
FREE_SIZES = (32, 16, 8, 64, 128, 256)


def made_up_inputs(signature: Signature, *, seed: int = 0) -> Iterator[list[dict[str, np.ndarray]]]:
    """Yields random batches, of ever other sizes and values, for the caller to take the first.

    Where a size is free, a model may want larger ones for its strides, or smaller ones for its
    positions; what is declared as a float may be the number of a word.
    """
    batch_sizes = [signature.batch_size] if signature.batch_size else BATCH_SIZES
    free = any(None in spec.shape[1:] for spec in signature.specs)
    for few_values in (False, True):
        for free_size in FREE_SIZES if free else FREE_SIZES[:1]:
            generator = np.random.default_rng(seed)
            yield [
                {
                    name: _made_up(
                        (batch_size, *(edge or free_size for edge in spec.shape[1:])),
                        spec.dtype,
                        few_values,
                        generator,
                    )
                    for name, spec in zip(signature.names, signature.specs, strict=True)
                }
                for batch_size in batch_sizes
            ]


def _made_up(
    shape: tuple[int, ...], dtype: str, few_values: bool, generator: np.random.Generator
) -> np.ndarray:
    if dtype == "string":
        return generator.choice(["a", "b", ""], size=shape).astype(object)
    if dtype == "uint8" and not few_values:  # Pixels.
        return generator.integers(0, 256, shape).astype(dtype)
    if few_values or dtype == "bool" or "int" in dtype:  # 0 and 1 are in every vocabulary.
        return generator.integers(0, 2, shape).astype(_numpy_dtype(dtype))
    return generator.normal(size=shape).astype(_numpy_dtype(dtype))


def _numpy_dtype(name: str) -> np.dtype:
    """Returns the dtype of a name, of "bfloat16" too, which NumPy does not know."""
    return np.dtype(getattr(ml_dtypes, name, name))


def largest_difference(
    consumer: Consumer,
    signature: Signature,
    batches: Sequence[Arrays],
    expected: Sequence[Arrays],
) -> float:
    """Returns the largest difference of a consumer's outputs from the model's.

    Raises:
        ValueError: Where the inputs or outputs are others than the model's.
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

    NaN equals NaN, and infinity itself; another shape is infinitely different.
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


def _match(what: str, theirs: list[str], ours: list[list[str]]) -> dict[str, int]:
    """Returns the number of the model's input or output for each name in the file."""
    for names in ours:
        if sorted(names) == sorted(theirs):
            return {name: names.index(name) for name in theirs}
    first = ours[0]
    if len(theirs) == len(first) == 1:
        return {theirs[0]: 0}
    # What has no name is numbered: output_0, output_1 by Keras, Identity:0, Identity_1:0 in ONNX.
    parts = [re.fullmatch(r"(.*?)(?:_(\d+))?(?::0)?", name) for name in theirs]
    numbers = [int(part[2] or 0) for part in parts if part]
    alike = len({part[1] for part in parts if part}) == 1
    if len(theirs) == len(first) == len(set(numbers)) and alike:
        ordered = sorted(zip(numbers, theirs, strict=True))
        return {name: number for number, (_, name) in enumerate(ordered)}
    raise ValueError(f"Its {what} are {sorted(theirs)}, the model's {sorted(first)}.")
