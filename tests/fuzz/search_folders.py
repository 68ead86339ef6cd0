"""Search folders in which a file is damaged, or names other places."""

import functools
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any
from unittest import mock

from hypothesis import strategies as st

from keras_selectscale.tuning import SearchFolder, make_report
from keras_selectscale.tuning.state import read_oracle
from tests.fuzz import command_lines
from tests.fuzz.damage import damaged_json, in_place, writing
from tests.fuzz.verdict import Case
from tests.tuning import folders
from tests.tuning.searches import made_up_tuner

TUNERS = ("random", "bayesian", "hyperband", "grid")
TUNE = "tune --network resnet-8 --epochs 3 --batch-size 64 --seeds 2 --trials 6 --dir s".split()


@functools.cache
def written(tuner: str) -> dict[str, bytes]:
    """Returns the files of a search: of KerasTuner after four trials, or of six made-up ones."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "s"
        if tuner == "made up":
            folders.finished(path, folders.TRIALS)
        else:
            made_up_tuner(tuner, path).search()
        return {
            str(file.relative_to(path)): file.read_bytes()
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }


def readers(tuner: str) -> dict[str, Callable[[], Any]]:
    """Returns what reads the search folder `s`, by name."""
    folder = SearchFolder("s")
    if tuner != "made up":

        def search_on() -> None:
            made_up_tuner(tuner, pathlib.Path("s"), trials=5).search()

        return {
            "oracle": lambda: read_oracle(pathlib.Path("s")),
            "trials": folder.read_trials,
            "search": search_on,
        }
    tune = command_lines.call(TUNE)

    def tuned() -> None:
        with mock.patch("keras_selectscale.tuning.train_winner", lambda *args, **kwargs: None):
            tune()

    return {
        "read_search": folder.read_search,
        "read_data_dir": folder.read_data_dir,
        "trials": folder.read_trials,
        "remove": folder.remove,
        "note_death": lambda: folder.note_death("worker0"),
        "report": lambda: make_report(folder),
        "tune report": command_lines.call(["tune", "report", "s"]),
        "figure 4": command_lines.call(
            "figure 4 s --retaining-rate 0.5 --out s/figure4.png".split()
        ),
        "tune": tuned,
    }


@st.composite
def cases(draw: Any) -> Case:
    """Draws a damaged file of a search and what reads it."""
    tuner = draw(st.sampled_from(["made up", "made up", "made up", *TUNERS]))
    files = written(tuner)
    names = [name for name in files if name.endswith(".json")]
    name = draw(st.sampled_from(names + [one for one in names if "/" not in one] * 2))
    if draw(st.integers(0, 9)) == 0:
        text, act = draw(in_place())
    else:
        text, data = draw(damaged_json(files[name]))
        act = writing(data)
    reader = draw(st.sampled_from(READERS["made up" if tuner == "made up" else "tuner"]))

    def call() -> None:
        for file, content in files.items():
            path = pathlib.Path("s", file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        act(pathlib.Path("s", name))
        before = {path for path in pathlib.Path().iterdir()}
        try:
            # KerasTuner collects all garbage before each model, half of the time of these cases.
            with mock.patch("gc.collect", lambda *args: 0):
                readers(tuner)[reader]()
        finally:
            outside = {path for path in pathlib.Path().iterdir()} - before
            evil = [*pathlib.Path("/").glob("evil0*"), *outside]
            for path in evil:
                shutil.rmtree(path, ignore_errors=True)
            if evil:
                raise AssertionError(f"wrote {evil}")

    file = pathlib.Path(name)
    return Case(f"{reader}({tuner}, {name}: {text})", call, (file.name, *file.parts[:-1], *FORMS))


FORMS = (
    "s is not the folder of a search",
    "s holds another search",
    "s: no finished run or trial of SelectScale",
    "no run was found in s",
)
READERS = {
    "tuner": ("oracle", "trials", "search", "search"),
    "made up": (
        "read_search", "read_data_dir", "trials", "trials", "remove", "note_death",
        "report", "tune report", "figure 4", "tune",
    ),
}  # fmt: skip
