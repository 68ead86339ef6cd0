"""Tables of recorded results as text, Markdown, CSV and JSON."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from keras_selectscale.experiments.results import Difference, Found, Interval, ResultGroup
from keras_selectscale.recipes import PublishedCell

HEADERS = (
    "run",
    "settings",
    "n",
    "test error (%)",
    "95% interval",
    "the paper's",
    "difference from no drop",
)
MADE_ON = ("run", "settings", "seeds", "made on", "training (s)", "images/s")
NOTE = (
    "Test error after the last epoch: mean ± standard deviation over n seeds, with the 95% "
    "interval of the mean (Student's t). Differences are in percentage points, with 95% "
    "intervals: paired by seed (t) if seeds are shared, and otherwise by Welch's t. One run has "
    "no interval. The paper's values are means of the number of runs in parentheses."
)


def report(groups: Sequence[ResultGroup], found: Found, form: str) -> str:
    """Returns the tables in one of `FORMATS`.

    Args:
        groups: The groups, as `group_runs` returns them.
        found: The runs, of which the unfinished and the damaged ones are named.
        form: A key of `FORMATS`.
    """
    return FORMATS[form](groups, found)


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
        "test_error": group.test_error._asdict(),
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


def _made_on(group: ResultGroup) -> list[tuple[str, ...]]:
    """Returns a row for each kind of machine and versions on which a group's runs were made."""
    rows: dict[str, list[Any]] = {}
    for run in group.runs:
        made = run.environment
        versions = made.get("packages", {})
        names = ("keras", str(made.get("backend", "")))
        parts = [f"{name} {versions[name]}" for name in names if name in versions]
        parts += [str(made[key]) for key in ("accelerator", "machine") if made.get(key)]
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
    remarks = [f"Damaged, not counted: {sentence}" for sentence in found.damaged]
    return remarks + [f"Not finished, not counted: {path}" for path in found.unfinished]


def _as_text(groups: Sequence[ResultGroup], found: Found) -> str:
    table = [HEADERS, *map(cells, groups)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join([*lines, "", NOTE, *_remarks(found)]) + "\n"


def _as_markdown(groups: Sequence[ResultGroup], found: Found) -> str:
    made = [row for group in groups for row in _made_on(group)]
    parts = [
        "# Results",
        _markdown_table(HEADERS, ("", "", ":", ":", "", ":", ""), map(cells, groups)),
        NOTE,
        *_remarks(found),
        "## What the runs were made on",
        _markdown_table(MADE_ON, ("", "", "", "", ":", ":"), made),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(
    headers: Sequence[str], alignments: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    lines = [headers, [f"---{alignment}" for alignment in alignments], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _as_csv(groups: Sequence[ResultGroup], found: Found) -> str:
    text = io.StringIO()
    columns = [
        *("name", "settings", "n", "mean", "low", "high", "standard_deviation"),
        *("published_error", "published_deviation", "published_runs"),
        *("difference", "difference_low", "difference_high", "pairs", "method"),
    ]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for group in groups:
        paper, change = group.published, group.difference
        writer.writerow(
            [group.name, group.settings, len(group.runs), *group.test_error, group.deviation]
            + (
                [None] * 3
                if paper is None or paper.error is None
                else [paper.error, paper.deviation, paper.runs]
            )
            + ([None] * 5 if change is None else list(change))
        )
    return text.getvalue()


def _as_json(groups: Sequence[ResultGroup], found: Found) -> str:
    content = {
        "groups": [row(group) for group in groups],
        "unfinished": [path.as_posix() for path in found.unfinished],
        "damaged": found.damaged,
    }
    return json.dumps(content, indent=2, default=dataclasses.asdict) + "\n"


FORMATS: dict[str, Callable[[Sequence[ResultGroup], Found], str]] = {
    "text": _as_text,
    "markdown": _as_markdown,
    "csv": _as_csv,
    "json": _as_json,
}
