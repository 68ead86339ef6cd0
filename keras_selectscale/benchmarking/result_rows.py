"""Computes ratios, rates and shares of the machine's limit from raw times."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from keras_selectscale.benchmarking import summaries
from keras_selectscale.benchmarking.layer_sides import (
    COPY,
    FIT,
    KERAS_NORMALIZATION,
    KERAS_SPATIAL,
    NONE,
    PYTORCH,
    PYTORCH_COMPILED,
    PYTORCH_DROP,
    TRAIN,
    moved_bytes,
)
from keras_selectscale.benchmarking.layer_table import tensor_bytes

SPATIAL_SCALE = "spatial-scale"


def layer_rows(layers: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns a row for each layer, mode, precision and data.

    Args:
        layers: Result of `measure_layers`.

    Returns:
        Rows with `shapes`, one entry per shape with milliseconds, the ratio to Keras'
        SpatialDropout2D, the bytes that must move, and their rate as a share of a copy's bandwidth.
        `ratio`, `over_spatial_scale`, `of_copy` and `of_memory` are geometric means over the
        shapes, or `None` if there is nothing to compare with; `worst` is the largest ratio.
    """
    memory = {
        (copy["mode"], copy["precision"]): memory_bandwidth(copy) for copy in layers["copies"]
    }
    grouped: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for case in layers["cases"]:
        for side in case["seconds"]:
            if side != COPY:
                key = (side, case["mode"], case["precision"], case["data"])
                grouped[key].append(case)
    rows = []
    for (side, mode, precision, data), cases in grouped.items():
        shapes = [_shape_entry(case, side, memory[mode, precision]) for case in cases]
        worst = [entry["ratio"][1] for entry in shapes if entry["ratio"] is not None]
        rows.append(
            {
                "side": side,
                "mode": mode,
                "precision": precision,
                "data": data,
                "shapes": shapes,
                "ratio": _mean(shapes, "ratio"),
                "worst": max(worst) if worst else None,
                "over_spatial_scale": _mean(shapes, "over_spatial_scale"),
                "of_copy": _mean(shapes, "of_copy"),
                "of_memory": _mean(shapes, "of_memory"),
            }
        )
    return rows


def memory_bandwidth(copy: dict[str, Any]) -> float | None:
    """Returns the bytes per second of the largest copy, which fits no cache."""
    if not copy["seconds"]:
        return None
    size = max(copy["seconds"], key=int)
    return 2 * int(size) / summaries.quartiles(copy["seconds"][size]).median


def step_rows(
    cases: Sequence[dict[str, Any]], memory: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Returns a row for each network, mode, precision and drop.

    Args:
        cases: Result of `measure_steps`.
        memory: Result of `measure_memory`, or an empty list.

    Returns:
        Rows with images per second, the ratios of the step to that without drops and to that with
        Keras' SpatialDropout2D, and, if they were measured, the ratio of the step to that of plain
        PyTorch (with `torch.nn.Dropout2d` if there is a drop), and the same ratios of the peak
        memory and of the memory of a step.
    """
    about = ("network", "mode", "precision")
    measured = {(*(found[name] for name in about), found["side"]): found for found in memory}
    rows = []
    for case in cases:
        key = tuple(case[name] for name in about)
        for side, seconds in case["seconds"].items():
            rate = summaries.quartiles([case["batch_size"] / time for time in seconds])
            rows.append(
                {
                    **{name: case[name] for name in about},
                    "side": side,
                    "batch_size": case["batch_size"],
                    "images_per_second": rate,
                    "over_none": _ratio(case, side, NONE),
                    "over_keras_spatial_dropout": _ratio(case, side, KERAS_SPATIAL),
                    "over_pytorch": _ratio(case, side, _peer(side)),
                    **_memory_entry(measured, key, side, "peak"),
                    **_memory_entry(measured, key, side, "step"),
                }
            )
    return rows


def growth_rows(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns a row for each layer, mode and what varies.

    Args:
        cases: Result of `measure_growth`.

    Returns:
        Rows with the last shape, the values, the bytes of the input, the median times, and the
        exponent of the power law in the bytes, for all sizes and for the larger half. 1 is linear;
        the constant cost of a call lowers the exponent for small inputs.
    """
    grouped: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for case in cases:
        for side in case["seconds"]:
            grouped[side, case["mode"], case["precision"], case["varied"]].append(case)
    rows = []
    for (side, mode, precision, varied), own in grouped.items():
        sizes = [int(tensor_bytes(case["shape"], precision)) for case in own]
        times = [summaries.quartiles(case["seconds"][side]).median for case in own]
        half = max(2, (len(own) + 1) // 2)
        rows.append(
            {
                "side": side,
                "mode": mode,
                "precision": precision,
                "varied": varied,
                "shape": own[-1]["shape"],
                "values": [case["value"] for case in own],
                "bytes": sizes,
                "seconds": times,
                "exponent": summaries.exponent(sizes, times) if len(own) > 1 else None,
                "exponent_of_larger_half": (
                    summaries.exponent(sizes[-half:], times[-half:]) if len(own) > 1 else None
                ),
            }
        )
    return rows


def _memory_entry(
    measured: dict[tuple, dict[str, Any]], key: tuple, side: str, name: str
) -> dict[str, Any]:
    """Returns bytes and ratios of `name`, an entry of the result of `peak_memory`."""

    def of(which: str) -> int | None:
        return measured.get((*key, which), {}).get(name)

    return {
        f"{name}_bytes": of(side),
        f"{name}_over_none": _over(of(side), of(NONE)),
        f"{name}_over_keras_spatial_dropout": _over(of(side), of(KERAS_SPATIAL)),
    }


def _shape_entry(case: dict[str, Any], side: str, memory: float | None) -> dict[str, Any]:
    seconds = summaries.quartiles(case["seconds"][side])
    size = tensor_bytes(case["shape"], case["precision"])
    moved = moved_bytes(side, size)
    of_copy = None
    if moved and COPY in case["seconds"]:
        # The time of a copy of as many bytes over the layer's time: at most about 1.
        scale = moved / moved_bytes(COPY, size)
        copies = summaries.ratios(case["seconds"], COPY, side)
        of_copy = summaries.Quartiles(*(scale * value for value in copies))
    return {
        "shape": case["shape"],
        "milliseconds": summaries.Quartiles(*(1e3 * value for value in seconds)),
        "ratio": _ratio(case, side, KERAS_SPATIAL),
        "over_spatial_scale": _ratio(case, side, SPATIAL_SCALE),
        "bytes": moved,
        "bytes_per_second": moved / seconds.median,
        "of_copy": of_copy,
        "of_memory": moved / seconds.median / memory if moved and memory else None,
    }


def _peer(side: str) -> str:
    without = (NONE, KERAS_NORMALIZATION, FIT, TRAIN, PYTORCH, PYTORCH_COMPILED)
    return PYTORCH if side in without else PYTORCH_DROP


def _ratio(case: dict[str, Any], side: str, against: str) -> summaries.Quartiles | None:
    if against not in case["seconds"]:
        return None
    return summaries.ratios(case["seconds"], side, against)


def _mean(shapes: list[dict[str, Any]], name: str) -> float | None:
    """Returns the geometric mean of the medians, or `None` if one is missing."""
    values = [entry[name] for entry in shapes]
    if any(value is None for value in values):
        return None
    return summaries.geometric_mean(
        value.median if isinstance(value, summaries.Quartiles) else value for value in values
    )


def _over(value: float | None, other: float | None) -> float | None:
    return None if value is None or not other else value / other
