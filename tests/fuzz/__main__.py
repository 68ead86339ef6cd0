"""`python -m tests.fuzz`: runs the generators for as long as wanted."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import argparse  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402

from tests.fuzz.groups import GROUPS  # noqa: E402
from tests.fuzz.running import Tally, report, run  # noqa: E402


def main() -> int:
    """Runs the groups and returns 1 if there is a wrong answer."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each group, at most")
    parser.add_argument("--cases", type=int, default=10_000, help="of each group, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--group", action="append", choices=list(GROUPS), help="by default all")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds until a case hangs")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    failed = 0
    for name in given.group or GROUPS:
        tally = Tally()
        run(
            GROUPS[name](),
            tally,
            seed=given.seed,
            count=given.cases,
            until=time.monotonic() + 60 * given.minutes,
            limit=given.limit,
        )
        print(report(name, tally), flush=True)
        failed += tally.wrong_count
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
