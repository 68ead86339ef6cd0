"""Tables of the figures' numbers, for the page of results."""

import csv
import dataclasses
import io
import pathlib
import statistics
from typing import NamedTuple

from keras_selectscale.experiments.error_table import Point, Settings, read_table
from keras_selectscale.files import DamagedFileError, convert, read_json, read_text
from keras_selectscale.layers.methods import METHODS
from keras_selectscale.wording import counted

TOLERANCE = 1e-6


class Section(NamedTuple):
    """A table with its title.

    Attributes:
        title: Heading.
        headers: Heads of the columns.
        alignments: `":"` for a column of numbers, `""` for text.
        rows: Cells as text.
        note: Sentence below the table.
    """

    title: str
    headers: tuple[str, ...]
    alignments: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str


@dataclasses.dataclass
class _Interval:
    mean: float
    low: float
    high: float


@dataclasses.dataclass
class _Measures:
    share: _Interval
    entropy: _Interval


@dataclasses.dataclass
class _Maps:
    dataset: str
    precision: str
    images: int


def read_section(path: pathlib.Path) -> Section:
    """Returns the table of a file of `figure 3` (.csv) or of `cam --measure` (.json).

    Raises:
        DamagedFileError: If the file is damaged.
        FileNotFoundError: If it does not exist.
        ValueError: If it is neither of the two.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    if path.suffix == ".csv":
        return errors_at_test_time(path)
    if path.suffix == ".json":
        return activation_maps(path)
    raise ValueError(f"{path} is neither a .csv of `figure 3` nor a .json of `cam --measure`")


def errors_at_test_time(path: pathlib.Path) -> Section:
    """Returns the table of Figure 3: a row for each retaining rate, a column for each method."""
    points, settings = read_table(path), _settings(path)
    columns: dict[str, dict[float, list[float]]] = {}
    names = list(METHODS)
    for point in sorted(
        points, key=lambda p: names.index(p.method) if p.method in names else len(names)
    ):
        if point.method != "none":
            of_label = columns.setdefault(_label(point, points), {})
            of_label.setdefault(point.retaining_rate, []).append(point.error)
    base = [point.error for point in points if point.method == "none"]
    rates = sorted({rate for each in columns.values() for rate in each}, reverse=True)
    rows = [("1 (no drop)", *[_spread(base)] * len(columns))] if base else []
    rows += [
        (f"{rate:g}", *(_spread(each.get(rate, [])) for each in columns.values())) for rate in rates
    ]
    draws = max((len(e) for each in columns.values() for e in each.values()), default=1)
    several = (
        f"mean ± standard deviation over {counted(draws, 'draw')}" if draws > 1 else "one draw"
    )
    note = (
        f"Test error in percent of {settings.network} ({settings.dataset}, the first "
        f"{counted(settings.images, 'test image')}, {settings.precision}) with each method active "
        f"at test time, by retaining rate: {several}."
    )
    if draws > 1:
        note += " A method without a deviation is not random, or has one draw."
    headers = ("retaining rate", *columns)
    return Section("Drops at test time (Figure 3)", headers, (":",) * len(headers), rows, note)


def _settings(path: pathlib.Path) -> Settings:
    rows = list(csv.DictReader(io.StringIO(read_text(path))))
    found = {tuple(row[name] for name in Settings.__dataclass_fields__) for row in rows}
    if len(found) != 1:
        raise DamagedFileError(f"{path} is damaged: it has no row, or rows of several tables")
    network, digest, dataset, images, precision, seed = found.pop()
    try:
        return Settings(network, digest, dataset, int(images), precision, int(seed))
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from None


def _label(point: Point, points: list[Point]) -> str:
    title = METHODS[point.method].title if point.method in METHODS else point.method
    if point.top_rate is None:
        return title
    own = [each for each in points if each.method == point.method]
    if len(own) > 1 and all(
        each.top_rate is not None and abs(each.top_rate + each.retaining_rate - 1) < TOLERANCE
        for each in own
    ):
        return f"{title}, top rate 1 − retaining rate"
    return f"{title}, top rate {point.top_rate:g}"


def _spread(errors: list[float]) -> str:
    if not errors:
        return ""
    mean = f"{statistics.fmean(errors):.2f}"
    return mean if len(errors) < 2 else f"{mean} ± {statistics.stdev(errors):.2f}"


def activation_maps(path: pathlib.Path) -> Section:
    """Returns the table of the measures of class activation maps."""
    content = read_json(path)
    general = convert({n: content.get(n) for n in ("dataset", "precision", "images")}, _Maps, path)
    rows = []
    for kind, suffix in (("networks", ""), ("differences", ", paired by image")):
        each = content.get(kind)
        for name, values in (each if isinstance(each, dict) else {}).items():
            known = values
            if isinstance(values, dict):
                known = {n: values.get(n) for n in ("share", "entropy")}
            found = convert(known, _Measures, path, f"{kind}.{name}")
            sign = "+" if suffix else ""
            cells = (f"{v.mean:{sign}.3f} [{v.low:{sign}.3f}, {v.high:{sign}.3f}]" for v in
                     (found.share, found.entropy))  # fmt: skip
            rows.append((f"{name}{suffix}", *cells))
    note = (
        f"Maps of the true classes of the first {counted(general.images, 'test image')} of "
        f"{general.dataset} ({general.precision}): the share of the positions at which a map is at "
        "least half of its maximum, and the entropy of its positive part in nats, with 95% "
        "intervals over the images."
    )
    headers = ("network", "share above half of the maximum", "entropy (nats)")
    return Section("Class activation maps", headers, ("", "", ""), rows, note)
