"""Tables of recorded results as text, Markdown, CSV and JSON."""

import csv
import dataclasses
import io
import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from keras_selectscale.experiments.figure_tables import Section
from keras_selectscale.experiments.results import (
    INTERVAL_METHOD,
    Difference,
    Found,
    Interval,
    ResultGroup,
    against_controls,
    difference,
)
from keras_selectscale.recipes import PublishedCell
from keras_selectscale.training.run_records import Accelerator

HEADERS = (
    *("run", "settings", "n", "test error (%)", "95% interval"),
    *("the paper's", "difference from no drop"),
)
MADE_ON = ("run", "settings", "seeds", "made on", "training (s)", "images/s")
CONTROLS = ("run", "settings", "control", "difference from the control")
CONTROLS_NOTE = (
    "A control acts on as many maps with the same rates, chosen at random or from the bottom. "
    "Differences are in percentage points, negative if the run is better, with 95% intervals as "
    "above."
)
MADE_ON_NOTE = "Times are means over the runs. If a run was paused, the pause counts."
CALIBRATION = ("run", "settings", "n", "NLL", "ECE (%)", "highest error of a class (%)")
CALIBRATION_NOTE = (
    "On the test images: mean negative log-likelihood in nats, expected calibration error, and the "
    "error of the class with the highest mean; mean ± standard deviation over the n runs that "
    "recorded them."
)
NOTE = (
    "Test error after the last epoch: mean ± standard deviation over n seeds, with the 95% "
    "interval of the mean (Student's t). Differences are in percentage points, with 95% "
    "intervals: paired by seed (t) if seeds are shared, and otherwise by Welch's t. One run has "
    "no interval. The paper's values are means of the number of runs in parentheses. In the "
    "settings, t is the top rate and p or q the retaining rate."
)


def report(
    groups: Sequence[ResultGroup], found: Found, form: str, sections: Sequence[Section] = ()
) -> str:
    """Returns the tables in one of `FORMATS`.

    Args:
        groups: The groups, as `group_runs` returns them.
        found: The runs, of which those that do not count are named.
        form: A key of `FORMATS`.
        sections: Tables of figures, which the form `"csv"` does not have.
    """
    return FORMATS[form](groups, found, sections)


def row(group: ResultGroup) -> dict[str, Any]:
    """Returns what is known of a group, as JSON."""
    paper = group.published
    return {
        "name": group.name,
        "settings": group.settings,
        "recipe": group.recipe.as_json(),
        "runs": {
            str(run.recipe.seed): {
                "folder": run.path.as_posix(),
                **run.result,
                "environment": run.environment,
            }
            for run in group.runs
        },
        "n": len(group.runs),
        "test_error": {**group.test_error._asdict(), "method": INTERVAL_METHOD},
        "standard_deviation": group.deviation,
        "published": None
        if paper is None or paper.error is None
        else {"error": paper.error, "deviation": paper.deviation, "runs": paper.runs},
        "difference": None if group.difference is None else group.difference._asdict(),
    }


def cells(group: ResultGroup) -> tuple[str, ...]:
    """Returns a group's row as text, in the order of `HEADERS`."""
    paper = group.published
    return (
        group.name,
        group.settings,
        str(len(group.runs)),
        _mean(group.test_error.mean, group.deviation),
        _ends(group.test_error),
        _paper(paper),
        _difference(group.difference),
    )


def _paper(cell: PublishedCell | None) -> str:
    if cell is None or cell.error is None:
        return ""
    return f"{_mean(cell.error, cell.deviation)} ({cell.runs})"


def _mean(mean: float, deviation: float | None) -> str:
    return f"{mean:.2f}" if deviation is None else f"{mean:.2f} ± {deviation:.2f}"


def _ends(values: Interval | Difference, sign: str = "") -> str:
    if values.low is None or values.high is None:
        return ""
    return f"[{values.low:{sign}.2f}, {values.high:{sign}.2f}]"


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return ""
    how = f"{difference.pairs} paired" if difference.pairs else "unpaired"
    parts = [f"{difference.mean:+.2f}", _ends(difference, "+"), f"({how})"]
    return " ".join(part for part in parts if part)


def _calibration(groups: Sequence[ResultGroup]) -> list[tuple[str, ...]]:
    """Returns a row for each group of which a run recorded its calibration."""
    rows: list[tuple[str, ...]] = []
    for group in groups:
        known = [run.result for run in group.runs if run.result.get("test_nll") is not None]
        ece = [each["test_ece"] for each in known if each.get("test_ece") is not None]
        by_class = [each["test_class_errors"] for each in known if each.get("test_class_errors")]
        columns: list[tuple[float, ...]] = []
        if len({len(errors) for errors in by_class}) == 1:
            columns = [each for each in zip(*by_class, strict=True) if None not in each]
        if known:
            cells = (
                _spread([each["test_nll"] for each in known], 3),
                _spread([100 * value for value in ece]),
                _spread(max(columns, key=sum, default=())),
            )
            rows.append((group.name, group.settings, str(len(known)), *cells))
    return rows


def _controls(groups: Sequence[ResultGroup]) -> list[tuple[str, ...]]:
    """Returns a row for each group and control with the same rates."""
    return [
        (group.name, group.settings, control.name, _difference(difference(group, control)))
        for group, control in against_controls(groups)
    ]


def _spread(values: Sequence[float], digits: int = 2) -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def _accelerator(recorded: Accelerator | str) -> str:
    """Returns an accelerator in a few words."""
    if isinstance(recorded, str):
        return recorded
    parts = [f"{recorded.count}x {recorded.name}"]
    if recorded.memory_mib:
        parts.append(f"{recorded.memory_mib / 1024:.0f} GiB")
    if recorded.driver:
        parts.append(f"driver {recorded.driver}")
    return " ".join(parts)


def _made_on(group: ResultGroup) -> list[tuple[str, ...]]:
    """Returns a row for each kind of machine and versions on which a group's runs were made."""
    rows: dict[str, list[Any]] = {}
    for run in group.runs:
        made = run.made_on
        names = ("keras", made.backend or "")
        parts = [f"{name} {made.packages[name]}" for name in names if name in made.packages]
        if made.accelerator:
            parts.append(_accelerator(made.accelerator))
        if made.machine:
            parts.append(made.machine)
        if made.commit:
            parts.append(f"commit {made.commit[:9]}")
        rows.setdefault(", ".join(parts), []).append(run)
    return [
        (
            group.name,
            group.settings,
            ", ".join(str(run.recipe.seed) for run in runs),
            where,
            f"{sum(run.result['seconds'] for run in runs) / len(runs):,.0f}",
            f"{sum(run.result['images_per_second'] for run in runs) / len(runs):,.0f}",
        )
        for where, runs in rows.items()
    ]


def _remarks(found: Found) -> list[str]:
    return [line[0].upper() + line[1:] for line in found.left_out("counted")]


def _as_text(groups: Sequence[ResultGroup], found: Found, sections: Sequence[Section]) -> str:
    lines = _aligned([HEADERS, *map(cells, groups)])
    lines += ["", NOTE, *_remarks(found)]
    for title, headers, _, rows, note in (*_further(groups), *sections):
        lines += ["", title, "", *_aligned([headers, *rows]), "", note]
    return "\n".join(lines) + "\n"


def _further(groups: Sequence[ResultGroup]) -> Iterator[tuple[Any, ...]]:
    """Yields title, headers, alignments, rows and note of each further table that has rows."""
    if rows := _controls(groups):
        yield "Against the controls", CONTROLS, ("", "", "", ""), rows, CONTROLS_NOTE
    if rows := _calibration(groups):
        alignments = ("", "", ":", ":", ":", ":")
        yield "Calibration and classes", CALIBRATION, alignments, rows, CALIBRATION_NOTE


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def _as_markdown(groups: Sequence[ResultGroup], found: Found, sections: Sequence[Section]) -> str:
    made = [row for group in groups for row in _made_on(group)]
    further: list[str] = []
    for title, headers, alignments, rows, note in (*_further(groups), *sections):
        further += [f"## {title}", _markdown_table(headers, alignments, rows), note]
    parts = [
        "# Results",
        _markdown_table(HEADERS, ("", "", ":", ":", "", ":", ""), map(cells, groups)),
        NOTE,
        *_remarks(found),
        *further,
        "## What the runs were made on",
        _markdown_table(MADE_ON, ("", "", "", "", ":", ":"), made),
        MADE_ON_NOTE,
    ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(
    headers: Sequence[str], alignments: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    lines = [headers, [f"---{alignment}" for alignment in alignments], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _as_csv(groups: Sequence[ResultGroup], found: Found, sections: Sequence[Section]) -> str:
    text = io.StringIO()
    columns = [
        *("name", "settings", "n", "mean", "low", "high", "interval_method"),
        "standard_deviation",
        *("published_error", "published_deviation", "published_runs"),
        *("difference", "difference_low", "difference_high", "pairs", "method"),
    ]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for group in groups:
        paper, change = group.published, group.difference
        writer.writerow(
            [group.name, group.settings, len(group.runs), *group.test_error]
            + [INTERVAL_METHOD, group.deviation]
            + (
                [None] * 3
                if paper is None or paper.error is None
                else [paper.error, paper.deviation, paper.runs]
            )
            + ([None] * 5 if change is None else list(change))
        )
    return text.getvalue()


def _as_json(groups: Sequence[ResultGroup], found: Found, sections: Sequence[Section]) -> str:
    content = {
        "groups": [row(group) for group in groups],
        "unfinished": [path.as_posix() for path in found.unfinished],
        "damaged": found.damaged,
        "repeated": found.repeated,
        "figures": [section._asdict() for section in sections],
    }
    return json.dumps(content, indent=2, default=dataclasses.asdict) + "\n"


FORMATS: dict[str, Callable[[Sequence[ResultGroup], Found, Sequence[Section]], str]] = {
    "text": _as_text,
    "markdown": _as_markdown,
    "csv": _as_csv,
    "json": _as_json,
}
