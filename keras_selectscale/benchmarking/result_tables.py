"""The tables of a benchmark, for the terminal and for a Markdown file."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from keras_selectscale.benchmarking.bench_options import BenchOptions
from keras_selectscale.benchmarking.layer_sides import NONE, SIDES, STEP_SIDES


class ResultTable(NamedTuple):
    """A table: its title, column headers and cells as text."""

    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def heading(options: BenchOptions) -> str:
    """Returns a description of the tables."""
    quick = "Quick: few shapes, few rounds; not for a report. " if options.quick else ""
    return (
        f"{quick}Medians of {options.rounds} rounds in which all sides take turns. Layers, forward "
        "and backward: geometric mean over the shapes of the time relative to Keras' "
        "SpatialDropout2D (SD), the worst shape, and the share of the bandwidth of a copy of the "
        "same tensor. Quartiles in brackets.\n"
    )


def summary_tables(backends: dict[str, dict[str, Any]]) -> Iterator[ResultTable]:
    """Yields the summary tables, with means over the shapes.

    Args:
        backends: Results of `run_bench` by backend.
    """
    for backend, result in backends.items():
        rows = result["rows"]
        kinds = {
            "layers": ("Layers", _layer_summary),
            "steps": ("Training step", _steps),
            "growth": ("Growth", _growth),
        }
        for section, (title, make) in kinds.items():
            for about, own in _grouped(rows.get(section, []), "network", "mode", "precision"):
                where = ", ".join([title, *about[:-2], f"{backend} {about[-2]}", about[-1]])
                yield make(f"{where}, {result['device']}", own)


def detailed_tables(backends: dict[str, dict[str, Any]]) -> Iterator[ResultTable]:
    """Yields a table of every shape for each mode, precision and kind of data."""
    for backend, result in backends.items():
        layers = result["rows"].get("layers", [])
        for (mode, precision, data), own in _grouped(layers, "mode", "precision", "data"):
            title = f"{backend} {mode}, {precision}, {data} input, {result['device']}"
            yield _shapes(title, own)


def as_markdown(table: ResultTable) -> str:
    """Returns a table with its title as Markdown."""
    ruler = ["---", *("---:" for _ in table.heads[1:])]
    lines = [table.heads, ruler, *table.rows]
    return f"### {table.title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _layer_summary(title: str, rows: list[dict[str, Any]]) -> ResultTable:
    kinds = _distinct(rows, "data")
    heads = ["layer"]
    for data in kinds:
        heads += [data, "worst", "of copy"]
    lines = []
    for side in _distinct(rows, "side"):
        if side == NONE:  # It does nothing, so a ratio says nothing.
            continue
        cells = [_title(side)]
        for data in kinds:
            found = _where(rows, side=side, data=data)
            row = found[0] if found else {"ratio": None, "worst": None, "of_copy": None}
            cells += [_number(row["ratio"]), _number(row["worst"]), _percent(row["of_copy"])]
        lines.append(tuple(cells))
    return ResultTable(title, tuple(heads), lines)


def _steps(title: str, rows: list[dict[str, Any]]) -> ResultTable:
    peers = any(row.get("over_pytorch") for row in rows)
    heads = ["drop", "images/s", "over no drop", "over SD", "step MiB (SD's)", "peak MiB (SD's)"]
    lines = []
    for row in rows:
        cells = [
            _title(row["side"]),
            f"{row['images_per_second'][1]:,.0f}",
            _spread(row["over_none"]),
            _spread(row["over_keras_spatial_dropout"]),
            _memory(row, "step"),
            _memory(row, "peak"),
        ]
        if peers:
            cells.insert(4, _spread(row["over_pytorch"]))
        lines.append(tuple(cells))
    if peers:
        heads.insert(4, "over PyTorch")
    return ResultTable(title, tuple(heads), lines)


def _growth(title: str, rows: list[dict[str, Any]]) -> ResultTable:
    varied = _distinct(rows, "varied")
    lines = []
    for side in _distinct(rows, "side"):
        own = {row["varied"]: row for row in _where(rows, side=side)}
        cells = [
            f"{_number(own[name]['exponent_of_larger_half'])} ({_number(own[name]['exponent'])})"
            if name in own
            else "-"
            for name in varied
        ]
        lines.append((_title(side), *cells))
    return ResultTable(title, ("exponent, larger half (all)", *varied), lines)


def _shapes(title: str, rows: list[dict[str, Any]]) -> ResultTable:
    heads = ("layer, shape", "ms", "over SD", "GB/s", "of copy", "of memory")
    lines = []
    for row in rows:
        for entry in row["shapes"]:
            rate = f"{entry['bytes_per_second'] / 1e9:.1f}" if entry["bytes"] else "-"
            lines.append(
                (
                    f"{_title(row['side'])} {'x'.join(map(str, entry['shape']))}",
                    _spread(entry["milliseconds"], 3),
                    _spread(entry["ratio"]) if row["side"] != NONE else "-",
                    rate,
                    _percent(entry["of_copy"] and entry["of_copy"][1]),
                    _percent(entry["of_memory"]),
                )
            )
    return ResultTable(title, heads, lines)


def _title(side: str) -> str:
    return "no drop" if side == NONE else STEP_SIDES.get(side) or SIDES[side].title


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"


def _spread(values: Any, digits: int = 2) -> str:
    if values is None:
        return "-"
    low, median, high = (f"{value:.{digits}f}" for value in values)
    return f"{median} [{low}, {high}]"


def _memory(row: dict[str, Any], name: str) -> str:
    size = row[f"{name}_bytes"]
    if size is None:
        return "-"
    return f"{size / 2**20:,.0f} ({_number(row[f'{name}_over_keras_spatial_dropout'])})"


def _grouped(rows: list[dict[str, Any]], *names: str) -> Iterator[tuple[tuple[str, ...], list]]:
    """Yields the values of some entries, if present, and the rows that have them."""
    groups: dict[tuple[str, ...], list] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names if name in row), []).append(row)
    yield from groups.items()


def _distinct(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))


def _where(rows: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]
