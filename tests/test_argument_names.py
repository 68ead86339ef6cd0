"""A call with a wrong argument name is answered by the name to write."""

import importlib
import inspect

import keras
import numpy as np
import pytest

import keras_selectscale as ks
from keras_selectscale import argument_names, data, models, training, tuning

RECIPE = training.Recipe("resnet-8", "digits")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.build("resnet-8", num_classes=3), "`num_classes`; write `classes=`"),
        (lambda: models.build("resnet-8", weights=None), "`weights`; it has `depth=`, `width=`"),
        (lambda: training.Recipe("resnet-8", "digits", lr=1), "`lr`; write `learning_rate=`"),
        (
            lambda: training.Recipe("resnet-8", "digits", rate=0.1),
            r"write `retaining_rate=` \(1 - rate\)",
        ),
        (lambda: tuning.Search(RECIPE, max_trials=3), "`max_trials`; write `trials=`"),
        (lambda: tuning.DropTuner(None, "random", "x", max_trials=3), "write `trials=`"),
        (lambda: ks.mc_predict(None, None, n_sample=3), "`n_sample`; write `samples=`"),
        (lambda: ks.linear_curriculum(0.2, epochs=3), "`epochs`; write `steps=`"),
        (
            lambda: data.validation_split(None, 0.2),
            "takes `data` by position; write `share=`, `seed=`. Received: 0.2",
        ),
    ],
)
def test_a_wrong_name_is_answered_by_the_name_to_write(call, message):
    with pytest.raises(TypeError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_every_name_that_is_suggested_is_an_argument_or_option():
    known = set()
    for package in ("data", "exporting", "layers", "models", "surgery", "training", "tuning"):
        module = importlib.import_module(f"keras_selectscale.{package}")
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value) or hasattr(value, "__dataclass_fields__"):
                known |= set(inspect.signature(value).parameters)
    known |= set(inspect.signature(tuning.DropTuner).parameters)
    known |= {"dir", "out", "run", "runs_dir", "workers", "methods"}  # Of the command line.
    suggested = {name for names in argument_names.ELSEWHERE.values() for name in names}
    assert suggested <= known


def test_signatures_and_docstrings_stay():
    assert list(inspect.signature(models.VGG).parameters)[0] == "depth"
    assert list(inspect.signature(training.Recipe).parameters)[:2] == ["network", "dataset"]
    assert "samples:" in ks.mc_predict.__doc__


def test_a_single_input_needs_a_batch_axis():
    drop = ks.SelectScale(top_rate=0.5, retaining_rate=0.4)
    model = keras.Sequential([keras.Input((4, 4, 2)), drop])
    with pytest.raises(ValueError, match=r"must have a batch axis, as `x\[None\]` has"):
        ks.mc_predict(model, np.ones((4, 4, 2)))


def test_a_model_is_no_hyper_model(tmp_path):
    with pytest.raises(TypeError, match=r"`hypermodel` must be a keras_tuner.HyperModel or a func"):
        tuning.DropTuner(keras.Sequential(), "random", tmp_path)


@pytest.mark.parametrize("ending", ["h5", "pb", "pt"])
def test_a_folder_has_no_ending_of_a_file(ending, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=f"must be a folder .*, not end with .{ending}"):
        ks.export(model, tmp_path / f"model.{ending}")


def test_a_position_too_many_without_keywords_says_only_what_is_taken():
    @argument_names.named_arguments
    def add(a, b):
        return a + b

    assert add(1, 2) == 3
    with pytest.raises(TypeError, match=r"^add takes `a` and `b` by position\. Received: 3$"):
        add(1, 2, 3)
