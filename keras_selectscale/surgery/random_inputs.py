"""Random inputs for a model, from the shapes and dtypes of its inputs."""

from collections.abc import Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np

# Sizes to try for a free dimension; the first that the model accepts is used.
FREE_SIZES = (32, 16, 8, 64, 128, 256)


def random_inputs(
    specs: Sequence[Any], batch_sizes: Sequence[int], seed: int = 0
) -> Iterator[list[list[np.ndarray]]]:
    """Yields lists of batches; the caller uses the first list on which the model runs.

    If a size is free, a model may need a larger one for its strides or a smaller one for its
    position embedding. An input declared as float may hold indices of an embedding, and then only
    0 and 1 are valid in every vocabulary.

    Args:
        specs: One object with `shape` and `dtype` for each input.
        batch_sizes: The batch sizes of one list.
        seed: Seed of the generator; each list starts from it again.

    Yields:
        For each batch size, one array per input.
    """
    free = any(None in spec.shape[1:] for spec in specs)
    for few_values in (False, True):
        for free_size in FREE_SIZES if free else FREE_SIZES[:1]:
            generator = np.random.default_rng(seed)
            yield [
                [
                    _random_array(
                        (batch_size, *(size or free_size for size in spec.shape[1:])),
                        spec.dtype,
                        few_values,
                        generator,
                    )
                    for spec in specs
                ]
                for batch_size in batch_sizes
            ]


def _random_array(
    shape: tuple[int, ...], dtype: str, few_values: bool, generator: np.random.Generator
) -> np.ndarray:
    if dtype == "string":
        return generator.choice(["a", "b", ""], size=shape).astype(object)
    if dtype == "uint8" and not few_values:  # Pixels.
        return generator.integers(0, 256, shape).astype(dtype)
    if few_values or dtype == "bool" or "int" in dtype:
        return generator.integers(0, 2, shape).astype(_numpy_dtype(dtype))
    return generator.normal(size=shape).astype(_numpy_dtype(dtype))


def _numpy_dtype(name: str) -> np.dtype:
    """Returns a dtype by name, including those that NumPy does not know, such as "bfloat16"."""
    return np.dtype(getattr(ml_dtypes, name, name))
