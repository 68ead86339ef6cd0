"""A few cases of each group, the same at each run; `python -m tests.fuzz` runs more."""

import pytest

from tests.fuzz.groups import GROUPS
from tests.fuzz.running import Tally, report, run
from tests.fuzz.verdict import Case, CommandFailed, wrong

# An eighth of a second a case, for those that read files and trace graphs.
COUNTS = {"command-lines": 30, "run-folders": 20, "search-folders": 15, "image-folders": 12}


@pytest.mark.parametrize("name", GROUPS)
def test_no_case_has_a_wrong_answer(name):
    tally, count = Tally(), COUNTS.get(name, 60)
    run(GROUPS[name](), tally, seed=None, count=count)
    print(report(name, tally))
    assert tally.cases > count / 2 and not tally.wrong, report(name, tally)
    # A group in which everything fails, or nothing does, tests little.
    assert tally.errors


@pytest.mark.parametrize(
    ("error", "must_fail", "fault"),
    [
        (None, False, None),
        (None, True, "accepted"),
        (ValueError("Argument `rate` must be a number"), True, None),
        (ValueError("Option --rate must be a number"), True, None),
        (ValueError("must be a number"), True, "names none of"),
        (ValueError("Argument `rates` must be numbers"), True, "names none of"),
        (TypeError("rate: unhashable type: 'list'"), True, "raw"),
        (KeyError("rate"), True, "raises KeyError"),
        (RecursionError("rate"), True, "raises RecursionError"),
        (ValueError(f"rate {'9' * 5000}"), True, "long"),
        (CommandFailed(2, "train: Option --rate must be a number"), True, None),
        (CommandFailed(1, "train: Option --rate must be a number"), True, "exit status 1"),
        (CommandFailed(2, "--rate\nTraceback"), True, "2 lines"),
    ],
)
def test_the_predicate(error, must_fail, fault):
    found = wrong(Case("f(rate=x)", lambda: None, ("rate",), must_fail), error)
    assert fault in found if fault else found is None
