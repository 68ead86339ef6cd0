import dataclasses
import json

import keras
import pytest

import keras_selectscale.exporting  # noqa: F401, registers the formats
from keras_selectscale.exporting import formats

DEFAULT_NAMES = {name: kind.default_name for name, kind in formats.FORMATS.items()}

on_tensorflow = keras.backend.backend() == "tensorflow"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns the folder of a run of one epoch."""
    from keras_selectscale.cli.group import cli, run

    folder = tmp_path_factory.mktemp("runs")
    arguments = "train --network resnet-8 --dataset digits --train-size 40 --drop selectscale"
    assert run(cli, [*arguments.split(), *f"--epochs 1 --run one --runs-dir {folder}".split()]) == 0
    return folder / "one"


@pytest.mark.slow
@pytest.mark.parametrize("format", DEFAULT_NAMES)
def test_it_exports_a_run_and_says_what_the_proof_found(command, trained, tmp_path, format):
    if not on_tensorflow and format != "keras":
        status, out, err = command("export", trained, "--format", format)
        assert status == 2 and out == "" and err.count("\n") == 1 and "KERAS_BACKEND" in err
        return
    for package in formats.FORMATS[format].packages:
        pytest.importorskip(package)
    path = tmp_path / DEFAULT_NAMES[format]
    status, out, err = command("export", trained, "--format", format, "--out", path)
    assert status == 0 and err == ""
    assert f"{path} ({format}): passed" in out and "nodes: none" in out
    beside = [path.with_suffix(each) for each in formats.FORMATS[format].companion_suffixes]
    assert path.exists() and set(tmp_path.iterdir()) == {path, *beside}

    status, out, err = command("export", trained, "--format", format, "--out", path)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert "exists" in err and "--overwrite" in err
    assert command("export", trained, "--format", format, "--out", path, "--overwrite")[0] == 0


def test_it_is_written_into_the_folder_of_the_run_by_default(command, trained):
    arguments = ("--format", "keras", "--runs-dir", trained.parent)
    status, out, _ = command("export", "one", *arguments)
    assert status == 0 and str(trained / "model.keras") in out
    assert (trained / "model.keras").exists()
    loaded = keras.models.load_model(trained / "model.keras")
    assert not loaded.compiled
    assert not any("selectscale" in type(layer).__module__ for layer in loaded.layers)


def test_no_run_no_checkpoint_and_no_folder_are_one_line(command, trained, tmp_path):
    from keras_selectscale.training import Recipe, RunFolder

    RunFolder(tmp_path / "runs" / "new").open(
        Recipe(network="resnet-8", dataset="digits").as_json(), {}
    )
    out = tmp_path / "missing" / "model.keras"
    for arguments, word in (
        (("nothing",), "nothing"),
        (("new",), "no checkpoint"),
        ((trained, "--format", "keras", "--out", out), "missing"),
        ((trained, "--format", "keras", "--out", "model.h5"), ".keras"),
        ((trained, "--format", "pickle"), "pickle"),
    ):
        status, output, err = command("export", *arguments)
        assert status == 2 and output == "" and err.count("\n") == 1 and word in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"]


def test_an_export_that_fails_its_proof_is_one_line_and_status_1(
    command, trained, tmp_path, monkeypatch
):
    kind = formats.FORMATS["keras"]

    def write(model, signature, path):
        model.save(path)  # With its drops.

    monkeypatch.setitem(formats.FORMATS, "keras", dataclasses.replace(kind, write=write))
    path = tmp_path / "model.keras"
    status, out, err = command("export", trained, "--format", "keras", "--out", path)
    assert status == 1 and out == "" and err.count("\n") == 1
    assert "did not pass" in err and "SelectScale" in err and json.dumps(str(path))[1:-1] in err
    assert list(tmp_path.iterdir()) == []


def test_the_formats_are_listed(command):
    status, out, _ = command("list", "formats")
    assert status == 0 and all(name in out for name in DEFAULT_NAMES)


@pytest.mark.parametrize("option, expected", [((), True), (("--no-safe-mode",), False)])
def test_python_code_is_trusted_only_on_request(
    command, trained, tmp_path, monkeypatch, option, expected
):
    received = []
    kind = formats.FORMATS["keras"]

    def read(path, safe_mode):
        received.append(safe_mode)
        return kind.read(path, safe_mode)

    monkeypatch.setitem(formats.FORMATS, "keras", dataclasses.replace(kind, read=read))
    path = tmp_path / "model.keras"
    assert command("export", trained, "--format", "keras", "--out", path, *option)[0] == 0
    assert received == [expected]
