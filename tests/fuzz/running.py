"""Runs the cases of a group and counts the answers."""

import contextlib
import dataclasses
import gc
import os
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import hypothesis
from hypothesis import strategies as st

from tests.fuzz.verdict import Case, wrong

# Examples of one run of hypothesis; each run has a seed of its own.
ROUND = 400


class Hang(BaseException):
    """A case that takes longer than its time."""


@dataclasses.dataclass
class Tally:
    """The answers to the cases of a group.

    Attributes:
        cases: Number of cases.
        accepted: How many succeeded.
        errors: How many raised a correct error.
        wrong: By class of wrong answers, how many, the smallest case, and where it was raised.
        slowest: Seconds of the slowest case, and its text.
        seconds: Time of all cases.
    """

    cases: int = 0
    accepted: int = 0
    errors: int = 0
    wrong: dict[str, tuple[int, str, str]] = dataclasses.field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")
    seconds: float = 0.0

    @property
    def wrong_count(self) -> int:
        """Number of wrong answers."""
        return sum(count for count, _, _ in self.wrong.values())

    def add(self, case: Case, seconds: float, error: BaseException | None) -> None:
        """Judges the answer to a case."""
        self.cases += 1
        self.seconds += seconds
        self.slowest = max(self.slowest, (seconds, case.text))
        fault = "hangs" if isinstance(error, Hang) else wrong(case, error)
        if fault is None:
            self.accepted += error is None
            self.errors += error is not None
            return
        place = _place(error)
        kind = f"{fault}{place}" if place else f"{case.text.partition('(')[0]}: {fault}"
        count, smallest, message = self.wrong.get(kind, (0, case.text, _line(error)))
        if len(case.text) < len(smallest):
            smallest, message = case.text, _line(error)
        self.wrong[kind] = (count + 1, smallest, message)


def _line(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:400] if error is not None else ""


def _place(error: BaseException | None) -> str:
    """Returns the last line of the package through which an error came."""
    if error is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "keras_selectscale" in frame.filename]
    if not ours:
        return ""
    return f" [{ours[-1].filename.partition('keras_selectscale')[2]}:{ours[-1].name}]"


def answer(case: Case, limit: float) -> tuple[float, BaseException | None]:
    """Runs a case in an empty folder; returns its seconds and its error, if any."""

    def ring(*args: Any) -> None:
        raise Hang(f"after {limit:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    start, error = time.perf_counter(), None
    with _empty_folder():
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            case.call()
        except (Exception, Hang, SystemExit) as raised:
            error = raised
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    seconds = time.perf_counter() - start
    if seconds > 2 * limit and not isinstance(error, Hang):  # In code that no signal interrupts.
        error = Hang(f"{seconds:.0f} s")
    return seconds, error


@contextlib.contextmanager
def _empty_folder() -> Iterator[None]:
    before = os.getcwd()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def run(
    cases: st.SearchStrategy[Case],
    tally: Tally,
    *,
    seed: int | None,
    count: int,
    until: float = float("inf"),
    limit: float = 30.0,
) -> None:
    """Runs cases until there are `count` in the tally, or until a time.

    Args:
        cases: What to draw from.
        tally: Gets the answers.
        seed: Of the first round; `None` draws the same cases at each run.
        count: How many.
        until: When to stop, on the monotonic clock.
        limit: Seconds after which a case hangs.
    """
    # Keras draws seeds while a case is drawn; hypothesis sees to it that they repeat.
    warnings.simplefilter("ignore", hypothesis.errors.HypothesisDeprecationWarning)
    rounds = 0
    while tally.cases < count and time.monotonic() < until:

        @hypothesis.settings(
            max_examples=min(ROUND, count - tally.cases),
            database=None,
            deadline=None,
            derandomize=seed is None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
            report_multiple_bugs=False,
        )
        @hypothesis.given(cases)
        def one_round(case: Case) -> None:
            if tally.cases < count and time.monotonic() < until:
                # The cases themselves are drawn already.
                random.seed(0)
                tally.add(case, *answer(case, limit))

        if seed is not None:
            hypothesis.seed(seed * 10_000 + rounds)(one_round)
        before = tally.cases
        one_round()
        gc.collect()
        rounds += 1
        if seed is None or tally.cases == before:  # There are no others.
            break


def report(name: str, tally: Tally) -> str:
    """Returns the lines about a group."""
    lines = [
        f"{name}: {tally.cases:,} cases, {tally.accepted:,} accepted, {tally.errors:,} good "
        f"errors, {tally.wrong_count:,} wrong answers of {len(tally.wrong)} kinds, "
        f"{tally.seconds:.0f} s, slowest {tally.slowest[0]:.1f} s"
    ]
    for kind, (count, smallest, message) in sorted(
        tally.wrong.items(), key=lambda item: -item[1][0]
    ):
        lines += [
            f"  {count} x {kind}",
            f"      {smallest}",
            *([f"      {message}"] * bool(message)),
        ]
    return "\n".join(lines)
