"""The report of a search that is finished, or still running."""

import csv
import io
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from keras_selectscale import environment
from keras_selectscale.data import Dataset
from keras_selectscale.files import write_json, write_text
from keras_selectscale.training import Devices, Recipe, RunFolder, train
from keras_selectscale.training.speed import said
from keras_selectscale.tuning.heatmap import draw_heatmap
from keras_selectscale.tuning.search import Search
from keras_selectscale.tuning.search_folder import SearchFolder, TrialRow

HELD_OUT = (
    "The trials were scored on {share:.0%} of the training images, held out of the training; no "
    "test image was read during the search. The best of many scores flatters its trial."
)
TESTED = (
    "The winner was trained again on all of the training images, with one seed, and tested once."
)


def best_trials(trials: Sequence[TrialRow]) -> list[TrialRow]:
    """Returns the completed trials, the best first, the earlier one among equals."""
    done = [trial for trial in trials if trial.score is not None]
    return sorted(done, key=lambda trial: trial.score or 0.0)


def finalists(search: Search, trials: Sequence[TrialRow]) -> list[TrialRow]:
    """Returns the trials from which the winner comes, the best first.

    Of Hyperband's trials those of fewer epochs have not been to the end, and count only where no
    trial has.
    """
    ranked = best_trials(trials)
    most = max((trial.values.get("tuner/epochs", 0) for trial in ranked), default=0)
    return [trial for trial in ranked if trial.values.get("tuner/epochs", 0) == most]


def make_report(folder: SearchFolder) -> dict[str, Any]:
    """Writes `trials.csv`, `heatmap.png` and `report.json` of what there is so far.

    Returns:
        `search`; `counts` of the trials by status; `best`: id, the recipe's `drop`, `top_rate` and
        `retaining_rate`, the `values` of all hyperparameters, `validation_error`, `deviation` and
        `errors` of each seed; `command`, which trains the winner; `winner`, its result on the test
        images, or `None` before that; and `note`. Errors are in percent.

    Raises:
        FileNotFoundError: Where the folder is no search's.
        DamagedRunError: Where a file is damaged.
    """
    search = folder.read_search()
    trials = folder.read_trials()
    ranked = finalists(search, trials)
    write_text(folder.csv_path, _as_csv(search, trials))
    draw_heatmap(search, trials, folder.figure_path, ranked[0].id if ranked else None)
    report: dict[str, Any] = {
        "search": search.as_json(),
        "counts": dict(Counter(trial.status for trial in trials)),
        "best": None,
        "command": None,
        "winner": None,
        "note": HELD_OUT.format(share=search.validation_share),
    }
    if ranked:
        best = ranked[0]
        recipe = search.trial_recipe(best.values)
        report["best"] = {
            "id": best.id,
            "drop": recipe.drop,
            "top_rate": recipe.top_rate,
            "retaining_rate": recipe.retaining_rate,
            "values": best.values,
            "validation_error": best.score,
            "deviation": best.deviation,
            "errors": best.errors,
        }
        report["command"] = training_command(recipe, folder.read_data_dir(), search.jit)
        report["winner"] = _winner_run(folder, recipe, best.id).read_result()
        if report["winner"] is not None:
            report["note"] += f" {TESTED}"
    write_json(folder.report_path, report)
    return report


def train_winner(folder: SearchFolder, images: Dataset, **options: Any) -> dict[str, Any] | None:
    """Trains the best trial's recipe on all training images, and tests it once.

    Args:
        folder: Of a search that is finished.
        images: The dataset, with its own test images.
        **options: Further arguments of `train`.

    Returns:
        The result of `train`; `None` where no trial is completed.
    """
    search = folder.read_search()
    ranked = finalists(search, folder.read_trials())
    if not ranked:
        return None
    recipe = search.trial_recipe(ranked[0].values)
    run = _winner_run(folder, recipe, ranked[0].id)
    devices = Devices(jit=search.jit)
    run.open(recipe.as_json(), environment.describe() | devices.describe())
    return train(recipe, run, images, devices=devices, **options)


def training_command(
    recipe: Recipe, data_dir: str | None = None, jit: bool | None = None
) -> str | None:
    """Returns the command that trains a recipe in a run of its own, or `None` if none can."""
    plain = Recipe(network=recipe.network, dataset=recipe.dataset)
    fields = ("momentum", "milestones", "decay_factor", "group_factors")
    if any(getattr(recipe, field) != getattr(plain, field) for field in fields):
        return None
    options: dict[str, Any] = {
        "--network": recipe.network,
        "--dataset": recipe.dataset,
        "--data-dir": data_dir,
        "--train-size": recipe.train_size,
        "--image-size": recipe.image_size,
        "--drop": recipe.drop,
        "--top-rate": recipe.top_rate,
        "--retaining-rate": recipe.retaining_rate,
        "--epochs": recipe.epochs,
        "--batch-size": recipe.batch_size,
        "--learning-rate": recipe.learning_rate,
        "--schedule": recipe.schedule,
        "--weight-decay": recipe.weight_decay,
        "--seed": recipe.seed,
        "--precision": recipe.precision,
        "--jit": None if jit is None else said(jit),
        "--run": f"tuned-{recipe.network}-{recipe.drop}",
    }
    given = [(option, str(value)) for option, value in options.items() if value is not None]
    return shlex.join(["keras-selectscale", "train", *(part for pair in given for part in pair)])


def _winner_run(folder: SearchFolder, recipe: Recipe, trial_id: str) -> RunFolder:
    """Returns the winner's run; another one's stays where a longer search has another winner."""
    run = RunFolder(folder.winner_path)
    if run.config_path.exists() and run.read_recipe() != recipe.as_json():
        return RunFolder(folder.path / f"winner-{trial_id}")
    return run


def _as_csv(search: Search, trials: Sequence[TrialRow]) -> str:
    drawn_names = [
        f"{method}/{name}" for method in search.methods for name in search.space.choices(method)
    ]
    known = ["drop", *drawn_names, *(f"recipe/{field}" for field in search.tune)]
    # The rest is Hyperband's.
    names = list(dict.fromkeys([*known, *(name for trial in trials for name in trial.values)]))
    seeds = [f"seed{seed}" for seed in range(search.seeds)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rates = ["top_rate", "retaining_rate"]
    writer.writerow(["id", "status", *names, *rates, "score", "deviation", *seeds, "message"])
    for trial in trials:
        drawn = search.space.rates(trial.values)
        errors = [*trial.errors, *[None] * (len(seeds) - len(trial.errors))]
        writer.writerow(
            [trial.id, trial.status]
            + [trial.values.get(name) for name in names]
            + [drawn[name] for name in rates]
            + [_rounded(trial.score), _rounded(trial.deviation), *map(_rounded, errors)]
            + [trial.message]
        )
    return text.getvalue()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
