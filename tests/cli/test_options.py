import click
import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.cli.group import COMMANDS, cli
from keras_selectscale.cli.options import decide_normalization, load_images
from keras_selectscale.cli.path_type import OutputFile, PathType


def test_a_subset_is_made_when_its_run_starts(monkeypatch):
    """All at once, those of 300 seeds took gigabytes."""
    made = []
    subset = data.training_subset

    def counted(*args, **kwargs):
        made.append(kwargs["seed"])
        return subset(*args, **kwargs)

    monkeypatch.setattr(data, "training_subset", counted)
    images = load_images([("digits", seed) for seed in range(50)], None, 100)
    assert len(made) <= 1 and len(images) == 50 and ("digits", 50) not in images
    expected = data.load("digits", train_size=100, seed=7)
    np.testing.assert_array_equal(images["digits", 7].train_images, expected.train_images)
    with pytest.raises(ValueError, match="`train_size` must be from 10"):
        load_images([("digits", 0)], None, 5)


def test_the_normalization_is_what_a_run_began_with():
    assert [decide_normalization(fused, None) for fused in (None, True, False)] == [
        "fused",
        "fused",
        "keras",
    ]
    began = {"normalization": "keras"}
    assert decide_normalization(None, began) == decide_normalization(False, began) == "keras"
    with pytest.raises(ValueError, match="`fused_normalization` must be False, with which the run"):
        decide_normalization(True, began)


def test_every_path_is_checked():
    """An empty path would be the working folder."""
    found = []
    for name in COMMANDS:
        command = cli.get_command(None, name)
        for each in (command, *getattr(command, "commands", {}).values()):
            found += [one for one in each.params if isinstance(one.type, click.Path)]
    assert len(found) > 10
    for option in found:
        assert isinstance(option.type, PathType), option
        for text in ("", "\ud800", "~nouser/x"):
            with pytest.raises(click.BadParameter, match="must be a path"):
                option.type.convert(text, option, None)


@pytest.mark.parametrize("name", ["cam", "figure 3", "figure 4", "history", "results"])
def test_a_folder_that_is_missing_is_reported_before_the_work(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, _, second = name.partition(" ")
    found = cli.get_command(None, first)
    found = found.commands[second] if second else found
    (out,) = [one for one in found.params if one.name == "out"]
    assert isinstance(out.type, OutputFile)
    with pytest.raises(click.BadParameter, match="the folder 'missing' does not exist"):
        out.type.convert("missing/x.png", out, None)
    assert out.type.convert("x.png", out, None).name == "x.png"
    # The file that is written beside the picture differs from it in the ending alone.
    if name in ("cam", "figure 3", "figure 4"):
        with pytest.raises(click.BadParameter, match="'x.csv' must end in .png"):
            out.type.convert("x.csv", out, None)
