"""Tables 1, 2 and 3: CIFAR-10 and CIFAR-100."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_selectscale.recipes.published_cell import PublishedCell
from keras_selectscale.training import Recipe

METHODS = ("none", "dropout", "spatial-dropout", "spatial-scale", "selectscale")
NETWORKS = ("resnet-110", "wrn-20-4", "wrn-20-8")


class _Row(NamedTuple):
    """A network's row: its rates from the caption, and its errors with their deviations."""

    spatial_scale: float
    top_rate: float
    retaining_rate: float
    errors: tuple[float, ...]
    deviations: tuple[float, ...]


TABLE1 = {
    "resnet-110": _Row(
        0.4, 0.4, 0.4, (5.88, 5.78, 5.42, 5.40, 5.22), (0.13, 0.11, 0.15, 0.06, 0.08)
    ),
    "wrn-20-4": _Row(0.4, 0.2, 0.0, (5.04, 4.84, 4.55, 4.64, 4.24), (0.07, 0.06, 0.07, 0.12, 0.05)),
    "wrn-20-8": _Row(0.4, 0.2, 0.1, (4.93, 4.37, 4.21, 4.14, 3.89), (0.08, 0.07, 0.11, 0.05, 0.10)),
}
TABLE2 = {
    "resnet-110": _Row(
        0.4, 0.1, 0.1, (26.16, 25.85, 24.12, 24.12, 23.48), (0.14, 0.24, 0.29, 0.19, 0.22)
    ),
    "wrn-20-4": _Row(
        0.4, 0.1, 0.1, (22.90, 22.53, 21.24, 21.40, 20.20), (0.21, 0.23, 0.17, 0.08, 0.18)
    ),
    "wrn-20-8": _Row(
        0.2, 0.2, 0.1, (20.99, 20.78, 19.70, 19.50, 18.52), (0.18, 0.19, 0.27, 0.23, 0.22)
    ),
}
# Section 3.3 states other top rates for Table 2 than its caption.
TABLE2_TEXT_TOP_RATES = {"resnet-110": 0.1, "wrn-20-4": 0.2, "wrn-20-8": 0.1}

# Epochs, cosine annealing, curriculum, method, error.
TABLE3 = (
    (200, False, False, "none", 4.19),
    (200, True, False, "none", 4.07),
    (600, True, False, "none", 3.51),
    (600, True, False, "dropout", 3.69),
    (600, True, True, "dropout", 3.66),
    (600, True, True, "spatial-dropout", 3.35),
    (600, True, True, "selectscale", 3.24),
)
RESNEXT = "resnext-29-8x64d"
TABLE3_NOTE = "the paper states no rates for Table 3; those of Table 1 (WRN-20-8) are used"


def cells() -> Iterator[PublishedCell]:
    """Yields the cells of Tables 1, 2 and 3 in their printed order."""
    for table, dataset, rows in (("table1", "cifar10", TABLE1), ("table2", "cifar100", TABLE2)):
        for network in NETWORKS:
            yield from _row_cells(table, dataset, network, rows[network])
    for number, (epochs, cosine, curriculum, method, error) in enumerate(TABLE3, start=1):
        recipe = Recipe(
            network=RESNEXT,
            dataset="cifar10",
            epochs=epochs,
            schedule="cosine" if cosine else "step",
            curriculum="linear" if curriculum else "none",
            **_rates(method, TABLE1["wrn-20-8"]),
        )
        yield PublishedCell(
            name=f"table3/{RESNEXT}/{method}/{number}",
            source=f"Table 3, row {number}",
            recipe=recipe,
            error=error,
            note="" if method == "none" else TABLE3_NOTE,
        )


def _row_cells(table: str, dataset: str, network: str, row: _Row) -> Iterator[PublishedCell]:
    for method, error, deviation in zip(METHODS, row.errors, row.deviations, strict=True):
        text_top_rate, note = None, ""
        if table == "table2" and method == "selectscale":
            text_top_rate = TABLE2_TEXT_TOP_RATES[network]
            if text_top_rate == row.top_rate:
                text_top_rate = None
            else:
                note = f"top rate {row.top_rate:g} as captioned; Section 3.3: {text_top_rate:g}"
        yield PublishedCell(
            name=f"{table}/{network}/{method}",
            source=f"Table {table[-1]}",
            recipe=Recipe(network=network, dataset=dataset, **_rates(method, row)),
            error=error,
            deviation=deviation,
            runs=5,
            text_top_rate=text_top_rate,
            note=note,
        )


def _rates(method: str, row: _Row) -> dict[str, Any]:
    """Returns the drop of a cell. Both dropouts have p = 0.9 in all tables."""
    rates: dict[str, dict[str, Any]] = {
        "none": {},
        "dropout": {"retaining_rate": 0.9},
        "spatial-dropout": {"retaining_rate": 0.9},
        "spatial-scale": {"retaining_rate": row.spatial_scale},
        "selectscale": {"retaining_rate": row.retaining_rate, "top_rate": row.top_rate},
    }
    return {"drop": method, **rates[method]}
