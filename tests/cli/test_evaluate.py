import json

import pytest


@pytest.mark.parametrize("run", ["nothing", "a/b", "./nothing"])
def test_no_run_is_one_line(command, run):
    status, out, err = command("evaluate", run)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert run.rsplit("/")[-1] in err


def test_a_run_without_a_checkpoint_is_said(command, tmp_path):
    from keras_selectscale.training import Recipe, RunFolder

    recipe = Recipe(network="resnet-8", dataset="digits")
    RunFolder(tmp_path / "runs" / "new").open(recipe.as_json(), {})
    status, _, err = command("evaluate", "new")
    assert status == 2 and "no checkpoint" in err and err.count("\n") == 1


@pytest.mark.parametrize("content", ["{", json.dumps({"recipe": {}}), json.dumps({})])
def test_a_damaged_config_is_one_line(command, tmp_path, content):
    folder = tmp_path / "runs" / "broken"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(content)
    status, _, err = command("evaluate", "broken")
    assert status == 2 and err.count("\n") == 1 and "config.json" in err


def test_another_dataset_than_that_of_the_training_is_one_line(command, tmp_path, monkeypatch):
    """A folder of images that has got a class since, say."""
    from keras_selectscale import models, training

    folder = training.RunFolder(tmp_path / "runs" / "run")
    folder.open(training.Recipe(network="resnet-8", dataset="digits").as_json(), {})
    model = models.build("resnet-8", input_shape=(8, 8, 1), classes=9)
    monkeypatch.setattr(training, "load_checkpoint", lambda folder: model)
    status, out, err = command("evaluate", "run")
    assert status == 2 and out == "" and err.count("\n") == 1
    assert "in 9 classes" in err and "in 10" in err


def test_a_damaged_checkpoint_is_one_line(command, tmp_path):
    from keras_selectscale.training import Recipe, RunFolder

    folder = RunFolder(tmp_path / "runs" / "broken")
    folder.open(Recipe(network="resnet-8", dataset="digits").as_json(), {})
    folder.checkpoint_path.write_bytes(b"not a model")
    status, _, err = command("evaluate", "broken")
    assert status == 2 and err.count("\n") == 1 and "checkpoint.keras" in err
