"""Times of the layers, forward and backward, relative to Keras' SpatialDropout2D."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import ops

from keras_selectscale.benchmarking.bench_options import BenchOptions
from keras_selectscale.benchmarking.interleaving import measure_case
from keras_selectscale.benchmarking.layer_sides import COPY, KERAS_SPATIAL, NONE, make_layer
from keras_selectscale.benchmarking.layer_work import copy_work, layer_work

DATA = ("signed", "non-negative")
# Sizes of copies, from one that fits the nearest cache to one that fits none.
COPY_BYTES = tuple(2**power for power in (16, 18, 20, 22, 24, 26, 28))
QUICK_COPY_BYTES = tuple(2**power for power in (18, 22, 26))

Say = Callable[[str], Any]


def measure_layers(options: BenchOptions, say: Say) -> dict[str, Any]:
    """Measures every layer on every shape, in each mode of the active backend.

    Args:
        options: What to measure.
        say: Called before each case with a line that describes it.

    Returns:
        `cases` and `copies`, each with every raw time.
    """
    cases, copies = [], []
    for mode, precision in itertools.product(options.modes_here("layers"), options.precisions):
        about = {"mode": mode, "precision": precision}
        say(f"copy  {mode}  {precision}")
        copies.append({**about, **_measure_copies(options, mode, precision)})
        for data, shape in itertools.product(DATA, options.shapes):
            say(f"layers  {mode}  {precision}  {data}  {'x'.join(map(str, shape))}")
            sides = layer_sides(
                (NONE, KERAS_SPATIAL, *options.methods),
                shape,
                mode=mode,
                precision=precision,
                data=data,
                seed=options.seed,
            )
            measured = measure_case(sides, rounds=options.rounds, seconds=options.seconds)
            cases.append({**about, "data": data, "shape": list(shape), **measured})
    return {"cases": cases, "copies": copies}


def case_count(options: BenchOptions) -> int:
    """Returns the number of cases that `measure_layers` announces."""
    settings = len(options.modes_here("layers")) * len(options.precisions)
    return settings * (1 + len(DATA) * len(options.shapes))


def layer_sides(
    names: tuple[str, ...],
    shape: tuple[int, ...],
    *,
    mode: str,
    precision: str,
    data: str,
    seed: int,
) -> dict[str, Callable[[], Any]]:
    """Returns the work of each layer, and of a copy, on one input.

    Args:
        names: Names of `SIDES`, or `"none"`.
        shape: Shape of the input.
        mode: One of `backend_modes.modes()`.
        precision: Dtype of input and layer.
        data: `"signed"`, or `"non-negative"` for the output of a ReLU.
        seed: Determines the data and the draws.
    """
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(shape, "float32")
    if data == "non-negative":
        values = np.maximum(values, 0)
    x = ops.convert_to_tensor(values, precision)
    gradient = ops.convert_to_tensor(generator.standard_normal(shape, "float32"), precision)
    sides = {
        name: layer_work(
            make_layer(name, dtype=precision, seed=seed),
            mode,
            x,
            gradient,
        )
        for name in dict.fromkeys(names)
    }
    return {**sides, COPY: copy_work(mode, x)}


def tensor_bytes(shape: tuple[int, ...] | list[int], precision: str) -> int:
    """Returns the bytes of a tensor."""
    return math.prod(shape) * ml_dtypes.finfo(precision).bits // 8


def _measure_copies(options: BenchOptions, mode: str, precision: str) -> dict[str, Any]:
    """Measures copies of several sizes; the names of the sides are the bytes of the tensor."""
    sizes = QUICK_COPY_BYTES if options.quick else COPY_BYTES
    sides = {}
    for size in sizes:
        x = keras.ops.ones((size // tensor_bytes((1,), precision),), precision)
        sides[str(size)] = copy_work(mode, x)
    return measure_case(sides, rounds=options.rounds, seconds=options.seconds)
