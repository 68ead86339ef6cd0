"""Folders that KerasTuner searched, and ours in KerasTuner's hands."""

import json
import shutil

import keras
import keras_tuner
import pytest

from keras_selectscale.files import DamagedFileError
from keras_selectscale.tuning import DropTuner
from keras_selectscale.tuning.oracles import TUNERS

THEIRS = {
    "random": keras_tuner.RandomSearch,
    "bayesian": keras_tuner.BayesianOptimization,
    "hyperband": keras_tuner.Hyperband,
    "grid": keras_tuner.GridSearch,
}
OBJECTIVE = keras_tuner.Objective("loss", "min")


class Model(keras_tuner.HyperModel):
    """Trains for real, a little, so that KerasTuner finds what it expects."""

    def build(self, hp):
        units = hp.Int("units", 1, 5)
        with hp.conditional_scope("units", [1, 2]):
            hp.Float("rate", 0.1, 0.9)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
        model.compile("sgd", "mse")
        return model

    def fit(self, hp, model, *args, callbacks=(), **kwargs):
        x = keras.ops.ones((2, 2))
        return model.fit(x, x[:, :1], **{"verbose": 0, **kwargs}, callbacks=list(callbacks))


def theirs(kind, folder, trials):
    options = {"max_epochs": 3} if kind == "hyperband" else {"max_trials": trials}
    return THEIRS[kind](
        Model(), OBJECTIVE, seed=3, directory=folder.parent, project_name=folder.name, **options
    )


def ours(kind, folder, trials, **options):
    return DropTuner(
        Model(),
        kind,
        folder,
        **{"trials": trials, "objective": OBJECTIVE, "max_epochs": 3, "tensorboard": False}
        | options,
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Folders of KerasTuner's own tuners, with three trials or a Hyperband's sweep each."""
    folder = tmp_path_factory.mktemp("theirs")
    for kind in TUNERS:
        tuner = theirs(kind, folder / kind, 3)
        tuner.oracle.verbose = 0
        if kind == "hyperband":  # As after a kill: the better trials have not continued.
            tuner.oracle.max_trials = 3
        tuner.search(verbose=0)
    return folder


@pytest.fixture(scope="module")
def searched_by_ours(tmp_path_factory):
    """Folders of our tuners, with two trials each."""
    folder = tmp_path_factory.mktemp("ours")
    for kind in TUNERS:
        ours(kind, folder / kind, 2).search()
    return folder


def copied(searched, kind, folder, name="search"):
    return shutil.copytree(searched / kind, folder / name)


def trials_of(tuner):
    return {
        trial.trial_id: (trial.status, trial.score, trial.hyperparameters.values)
        for trial in tuner.oracle.trials.values()
    }


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", TUNERS)
def test_a_search_of_kerastuner_continues(kind, searched, tmp_path):
    folder = copied(searched, kind, tmp_path)
    before = trials_of(theirs(kind, folder, 3))
    assert len(before) == 3 and all(status == "COMPLETED" for status, _, _ in before.values())
    tuner = ours(kind, folder, 5)
    assert trials_of(tuner) == before
    tuner.search()
    after = trials_of(tuner)
    assert {trial_id: after[trial_id] for trial_id in before} == before
    assert len(after) == 5 and all(status == "COMPLETED" for status, _, _ in after.values())
    assert sorted(set(after) - set(before)) == ["t0003", "t0004"]
    points = [str(sorted(values.items())) for _, _, values in after.values()]
    assert len(set(points)) == 5
    # And KerasTuner finds all of them.
    assert trials_of(theirs(kind, folder, 5)) == after


@pytest.mark.parametrize("kind", TUNERS)
def test_kerastuner_reads_our_folders_and_continues(kind, tmp_path):
    folder = tmp_path / "search"
    tuner = ours(kind, folder, 3, seeds=2)
    tuner.search()
    before = trials_of(tuner)
    again = theirs(kind, folder, 5)
    again.reload()
    assert trials_of(again) == before
    best = min(score for _, score, _ in before.values())
    assert again.get_best_hyperparameters()[0].values in [
        values for _, score, values in before.values() if score == best
    ]
    if kind == "random":  # It keeps the weights, which the others need, under other names.
        again.oracle.verbose = 0
        again.search(verbose=0)
        assert len(again.oracle.trials) == 5
        assert trials_of(ours(kind, folder, 5)) == trials_of(again)


@pytest.mark.parametrize("kind", TUNERS)
@pytest.mark.parametrize("other", TUNERS)
def test_a_search_of_another_tuner_is_refused_and_stays(
    kind, other, searched, searched_by_ours, tmp_path
):
    if kind == other:
        return
    folder = copied(searched, other, tmp_path)
    before = files(folder)
    with pytest.raises(ValueError, match=f"`tuner` must be '{other}'.*search.*'{kind}'"):
        ours(kind, folder, 5)
    assert files(folder) == before
    own = copied(searched_by_ours, other, tmp_path, "own")
    before = files(own)
    with pytest.raises(ValueError, match=f"`tuner` must be '{other}'.*own.*'{kind}'"):
        ours(kind, own, 5)
    assert files(own) == before


@pytest.mark.parametrize(
    "objective", ["val_loss", keras_tuner.Objective("loss", "max"), ["loss", "val_loss"]]
)
def test_a_search_of_another_objective_is_refused_and_stays(objective, searched, tmp_path):
    folder = copied(searched, "random", tmp_path)
    before = files(folder)
    with pytest.raises(ValueError, match="`objective` must be that of the search"):
        ours("random", folder, 5, objective=objective)
    assert files(folder) == before


def test_whichever_file_of_a_tuner_is_missing(searched_by_ours, tmp_path):
    """A former version wrote `tuner.json`, a chief of KerasTuner writes `chief.json`."""
    folder = copied(searched_by_ours, "random", tmp_path)
    before = trials_of(ours("random", folder, 2))
    assert len(before) == 2
    for name in ("tuner.json", "chief.json", None):
        for path in folder.glob("*.json"):
            if path.name != "oracle.json":
                path.unlink()
        if name:
            (folder / name).write_text("{}\n")
        assert trials_of(ours("random", folder, 2)) == before
        assert (folder / "tuner0.json").exists()


def test_the_ids_stay_strings(searched_by_ours, tmp_path):
    again = ours("random", copied(searched_by_ours, "random", tmp_path), 100)
    again.oracle.create_trial("tuner0")
    assert list(again.oracle.trials) == ["t0000", "t0001", "t0002"]
    for trial_id in again.oracle.trials:
        with pytest.raises(ValueError):
            float(trial_id)


DAMAGE = [
    ("oracle.json", "{", "oracle.json is damaged"),
    ("oracle.json", "[" * 200_000, "oracle.json is damaged: it is nested too deeply"),
    ("oracle.json", None, "oracle.json is missing"),
    ("oracle.json", {"start_order": "x"}, "`start_order`"),
    ("oracle.json", {"ongoing_trials": "x"}, "`ongoing_trials`"),
    ("oracle.json", {"hyperparameters": 0}, "`hyperparameters`"),
    ("oracle.json", {"hyperparameters": {"space": [{"class_name": "X"}], "values": {}}}, "oracle"),
    ("oracle.json", {"start_order": ["t0000", "/../../../evil0"]}, "`start_order`.*evil0"),
    ("oracle.json", {"start_order": ["t0000", "t0001", "t0009"]}, "t0009.trial.json is missing"),
    ("oracle.json", {"start_order": ["t0000"]}, "`start_order`: expected all .*t0001"),
    ("oracle.json", {"display": {}}, "oracle.json is damaged: the field"),
    ("trial_t0000/trial.json", "", "trial.json is damaged"),
    ("trial_t0000/trial.json", {"trial_id": "/../../../evil0"}, "`trial_id`.*evil0"),
    ("trial_t0000/trial.json", {"trial_id": "t0001"}, "`trial_id`.*t0001"),
    ("trial_t0000/trial.json", {"metrics": {"metrics": []}}, "`metrics.metrics`"),
    ("trial_t0000/trial.json", {"metrics": {"metrics": {}}}, "`metrics.metrics`.*completed"),
    ("trial_t0000/trial.json", {"score": "low"}, "`score`.*low"),
    ("trial_t0000/trial.json", {"status": "DONE"}, "`status`"),
]


@pytest.mark.parametrize("name, content, words", DAMAGE)
def test_a_damaged_file_is_named_with_its_field(name, content, words, searched_by_ours, tmp_path):
    folder = copied(searched_by_ours, "random", tmp_path)
    path = folder / name
    if content is None:
        path.unlink()
    elif isinstance(content, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | content))
    else:
        path.write_text(content)
    before = files(folder)
    with pytest.raises(DamagedFileError, match=words):
        ours("random", folder, 5)
    assert files(folder) == before and not list(tmp_path.parent.glob("**/evil0*"))
