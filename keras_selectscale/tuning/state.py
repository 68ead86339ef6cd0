"""The files in which KerasTuner keeps the state of a search."""

import itertools
import pathlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NotRequired, TypedDict

from keras_selectscale.checks import shown
from keras_selectscale.files import DamagedFileError, convert, read_json, read_text, write_text
from keras_selectscale.object_checks import as_file_name
from keras_selectscale.wording import shortened

MOST_FACTOR, MOST_BRACKETS = 1000, 64
ENDED = ("COMPLETED", "FAILED")
ORACLE_FILE = "oracle.json"
# The file that tells KerasTuner's tuners that a folder holds a search. It is empty.
TUNER_FILE = "tuner0.json"
# Files that a `DropTuner` adds to a trial's folder: the reason for its failure, and a line for each
# death of a worker.
FAILURE_FILE = "failure.txt"
DEATHS_FILE = "deaths.txt"

Value = bool | int | float | str


class ParentConfig(TypedDict):
    """The hyperparameter on which another depends, and its values."""

    name: str
    values: list[Any]


class Condition(TypedDict):
    """When a hyperparameter is active."""

    class_name: str
    config: ParentConfig


class HyperparameterConfig(TypedDict, total=False):
    """What all hyperparameters share."""

    name: str
    conditions: list[Condition]


class Hyperparameter(TypedDict):
    """A hyperparameter in KerasTuner's serialized form."""

    class_name: str
    config: HyperparameterConfig


class Hyperparameters(TypedDict):
    """The hyperparameters of a trial or of a search."""

    space: list[Hyperparameter]
    values: dict[str, Value]


class Observation(TypedDict):
    """Values of a metric at a step; a `DropTuner` has one for each seed."""

    value: list[float]
    step: float


class Metric(TypedDict):
    """The observations of a metric."""

    direction: Literal["min", "max"]
    observations: list[Observation]


class Metrics(TypedDict):
    """All metrics of a trial."""

    metrics: dict[str, Metric]


class TrialState(TypedDict):
    """Content of `trial_*/trial.json`."""

    trial_id: str
    hyperparameters: Hyperparameters
    metrics: Metrics
    score: float | None
    best_step: NotRequired[float | None]
    status: Literal["RUNNING", "IDLE", "INVALID", "STOPPED", "COMPLETED", "FAILED"]
    message: str | None


class OracleState(TypedDict, total=False):
    """Content of `oracle.json` that all oracles share."""

    ongoing_trials: dict[str, str]
    hyperparameters: Hyperparameters
    start_order: list[str]
    end_order: list[str]
    run_times: dict[str, int]
    retry_queue: list[str]
    seed: int
    seed_state: int
    tried_so_far: list[str]
    id_to_hash: dict[str, str | None]


class Entry(TypedDict):
    """A trial in a round of Hyperband, and the one that it continues."""

    past_id: str | None
    id: str


class Bracket(TypedDict):
    """A bracket of Hyperband."""

    bracket_num: int
    rounds: list[list[Entry]]
    closed: NotRequired[bool]


class HyperbandState(TypedDict):
    """What Hyperband adds to `oracle.json`."""

    brackets: list[Bracket]
    max_epochs: int
    factor: int
    current_bracket: int
    current_iteration: int


class BayesianState(TypedDict):
    """What the Bayesian search adds to `oracle.json`."""

    num_initial_points: int | None
    alpha: float
    beta: float


def read_trial(path: pathlib.Path) -> dict[str, Any]:
    """Returns the content of a `trial.json`, a `TrialState`.

    Raises:
        DamagedFileError: If it cannot be read, or belongs to the trial of another folder.
    """
    state = read_json(path)
    convert(state, TrialState, path)
    if path.parent.name != f"trial_{state['trial_id']}":
        raise DamagedFileError(
            f"{path} is damaged: the field `trial_id`: expected the name of the folder without "
            f"trial_, received {shown(state['trial_id'])}"
        )
    if state["status"] == "COMPLETED" and not state["metrics"]["metrics"]:
        raise DamagedFileError(
            f"{path} is damaged: the field `metrics.metrics`: expected those of a completed trial, "
            "received {}"
        )
    return state


def read_oracle(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the content of a search's `oracle.json`, an `OracleState`.

    Raises:
        DamagedFileError: If it is missing or cannot be read.
    """
    path = folder / ORACLE_FILE
    if not path.exists():
        raise DamagedFileError(f"{folder} is damaged: the file {ORACLE_FILE} is missing")
    state = read_json(path)
    convert(state, OracleState, path)
    if "alpha" in state:
        convert(state, BayesianState, path)
    if "brackets" in state:
        _check_hyperband(state, path)
    for field, trial_id in ids_in(state):
        try:
            as_file_name(field, trial_id)
        except ValueError:
            raise DamagedFileError(
                f"{path} is damaged: the field `{field}`: expected ids of trials, received "
                f"{shown(trial_id)}"
            ) from None
        if trial_id not in state.get("start_order", []):
            found = f"none with the id {shown(trial_id)}, which is in `{field}`"
            expected = "the field `start_order`: expected all trials"
            raise DamagedFileError(f"{path} is damaged: {expected}, received {found}")
    return state


def ids_in(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the field and the id for each mention of a trial in an `oracle.json`."""
    for field in ("start_order", "end_order", "retry_queue"):
        for trial_id in state.get(field, []):
            yield field, trial_id
    for bracket in state.get("brackets", []):
        for entry in itertools.chain(*bracket["rounds"]):
            yield "brackets", entry["id"]
    for trial_id in state.get("ongoing_trials", {}).values():
        yield "ongoing_trials", trial_id


def _check_hyperband(state: dict[str, Any], path: pathlib.Path) -> None:
    """Checks what decides how many trials and epochs there are."""
    convert(state, HyperbandState, path)
    brackets = state["brackets"]
    for field, fits, expected in (
        ("max_epochs", state["max_epochs"] >= 1, "at least 1"),
        ("factor", 2 <= state["factor"] <= MOST_FACTOR, f"from 2 to {MOST_FACTOR}"),
        ("current_bracket", 0 <= state["current_bracket"] < MOST_BRACKETS, "the number of one"),
        (
            "brackets",
            brackets and all(each["bracket_num"] + 1 == len(each["rounds"]) for each in brackets),
            "one round more than `bracket_num`, in one or more brackets",
        ),
    ):
        if not fits:
            raise DamagedFileError(
                f"{path} is damaged: the field `{field}`: expected {expected}, received "
                f"{shown(state[field])}"
            )


def tuner_of(state: Mapping[str, Any]) -> str | None:
    """Returns which tuner wrote an `oracle.json`, or `None` if its content does not show it yet."""
    if "alpha" in state:
        return "bayesian"
    if "brackets" in state:
        return "hyperband"
    if not state["start_order"] or not state["hyperparameters"]["space"]:
        return None
    # A grid draws no random numbers, and every random point advances the seed.
    return "grid" if state["seed_state"] == state["seed"] else "random"


def decoded(path: pathlib.Path, decode: Callable[[Any], Any], state: Any) -> Any:
    """Returns `decode(state)`, and names the file if KerasTuner cannot decode its content.

    Raises:
        DamagedFileError: If it cannot.
    """
    try:
        return decode(state)
    except KeyError as error:
        raise DamagedFileError(
            f"{path} is damaged: the field {shortened(error)} is missing"
        ) from None
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {shortened(error)}") from None
    except (TypeError, AttributeError, IndexError, RecursionError):
        reason = "a field has a value that KerasTuner does not write there"
        raise DamagedFileError(f"{path} is damaged: {reason}") from None


def check_deaths(trial_folder: pathlib.Path, most: int) -> None:
    """Raises a `MemoryError` if so many workers have died in a trial."""
    path = trial_folder / DEATHS_FILE
    deaths = len(read_text(path).splitlines()) if path.exists() else 0
    if deaths >= most:
        raise MemoryError(f"its worker was killed {most} times: out of memory?")


def record_failure(trial_folder: pathlib.Path, error: Exception) -> str:
    """Writes why a trial failed, and returns it: a worker's message does not reach its chief."""
    first = (str(error).strip().splitlines() or [""])[0]
    trace = "".join(traceback.format_exception(error))
    message = f"{type(error).__name__}: {first}\n\n{trace}"
    write_text(trial_folder / FAILURE_FILE, message)
    return message
