"""Folders of searches as KerasTuner would have left them."""

import json

from keras_selectscale.training import Recipe
from keras_selectscale.tuning import Search, SearchFolder

RECIPE = Recipe(network="resnet-8", dataset="digits", epochs=3, batch_size=64)


def finished(path, rows, **options):
    """Writes a folder with trials: (values, errors), or (values, message) of a failure."""
    search = Search(RECIPE, **{"seeds": 2, "trials": max(len(rows), 1), **options})
    folder = SearchFolder(path)
    folder.open(search, {})
    ids = []
    for number, (values, outcome) in enumerate(rows):
        failed = isinstance(outcome, str)
        done = not failed and len(outcome) == search.seeds
        ids.append(f"{number:02d}")
        write(
            path / f"trial_{ids[-1]}" / "trial.json",
            {
                "trial_id": ids[-1],
                "hyperparameters": {"space": [], "values": values},
                "metrics": {"metrics": {} if failed else metric(outcome)},
                "score": None,
                "status": "FAILED" if failed else "COMPLETED" if done else "RUNNING",
                "message": f"{outcome}\n\nTraceback" if failed else None,
            },
        )
    write(path / "oracle.json", {"start_order": ids, "ongoing_trials": {}})
    return search, folder


def metric(errors):
    observations = [{"value": errors, "step": 0}] if errors else []
    return {"validation_error": {"direction": "min", "observations": observations}}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def scale(top_rate, retaining_rate):
    return {
        "drop": "selectscale",
        "selectscale/top_rate": top_rate,
        "selectscale/retaining_rate": retaining_rate,
    }


def out(top_rate, share):
    return {"drop": "selectout", "selectout/top_rate": top_rate, "selectout/share": share}


TRIALS = [
    (scale(0.2, 0.0), [6.0, 8.0]),
    (scale(0.5, 0.0), [9.0, 11.0]),
    (out(0.5, 0.6), [5.0, 6.0]),
    (scale(0.2, 0.4), [4.0, 5.0]),
    (scale(1.0, 0.9), "FloatingPointError: the loss is nan"),
    (scale(0.1, 0.1), [3.0]),
]
