"""Times of the layers as the channels, the batch or the resolution grow."""

from collections.abc import Callable
from typing import Any

from keras_selectscale.benchmarking.backend_modes import device_name
from keras_selectscale.benchmarking.bench_options import BenchOptions
from keras_selectscale.benchmarking.interleaving import measure_case
from keras_selectscale.benchmarking.layer_sides import COPY, KERAS_SPATIAL
from keras_selectscale.benchmarking.layer_table import layer_sides

METHODS = (KERAS_SPATIAL, "spatial-scale", "selectout", "selectscale")
# The varied size, and the shape (batch, height, width, channels) for each of its values.
SWEEPS: dict[str, Callable[[int], tuple[int, int, int, int]]] = {
    "channels": lambda channels: (64, 8, 8, channels),
    "batch": lambda batch: (batch, 16, 16, 64),
    "resolution": lambda edge: (32, edge, edge, 64),
}
VALUES: dict[str, tuple[int, ...]] = {
    "channels": (16, 32, 64, 128, 256, 512, 1024, 2048),
    "batch": (8, 16, 32, 64, 128, 256, 512, 1024),
    "resolution": (4, 8, 16, 32, 64),
}
QUICK_VALUES: dict[str, tuple[int, ...]] = {
    "channels": (16, 64, 256, 1024, 2048),
    "batch": (16, 64, 256),
    "resolution": (8, 16, 32),
}

# The axis of the shape that varies.
AXES = {"batch": 0, "resolution": 1, "channels": 3}
# Factor of the batch on an accelerator, which a CPU's batch does not keep busy.
ACCELERATOR_SCALE = 8

Say = Callable[[str], Any]


def measure_growth(options: BenchOptions, say: Say) -> list[dict[str, Any]]:
    """Measures layers, forward and backward, for several sizes of the input in each mode.

    The input is signed; the precision is the first of the options.

    Args:
        options: What to measure.
        say: Called before each case with a line that describes it.

    Returns:
        The cases with every raw time.
    """
    cases = []
    for mode in options.modes_here("growth"):
        for varied, shapes in sweep_shapes(options).items():
            for shape in shapes:
                value = shape[AXES[varied]]
                say(f"growth  {mode}  {varied}  {value}")
                sides = layer_sides(
                    METHODS,
                    shape,
                    mode=mode,
                    precision=options.precisions[0],
                    data="signed",
                    seed=options.seed,
                )
                del sides[COPY]
                measured = measure_case(sides, rounds=options.rounds, seconds=options.seconds)
                cases.append(
                    {
                        "mode": mode,
                        "precision": options.precisions[0],
                        "varied": varied,
                        "value": value,
                        "shape": list(shape),
                        **measured,
                    }
                )
    return cases


def sweep_shapes(options: BenchOptions) -> dict[str, list[tuple[int, int, int, int]]]:
    """Returns the shapes of each sweep, with a larger batch on an accelerator."""
    values = QUICK_VALUES if options.quick else VALUES
    scale = 1 if options.quick or device_name() == "cpu" else ACCELERATOR_SCALE
    shapes: dict[str, list[tuple[int, int, int, int]]] = {}
    for varied, shape_of in SWEEPS.items():
        own = map(shape_of, values[varied])
        shapes[varied] = [(scale * batch, h, w, channels) for batch, h, w, channels in own]
    return shapes


def case_count(options: BenchOptions) -> int:
    """Returns the number of cases that `measure_growth` announces."""
    return len(options.modes_here("growth")) * sum(map(len, sweep_shapes(options).values()))
