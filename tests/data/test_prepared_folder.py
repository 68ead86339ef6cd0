import pathlib
import shlex

import pytest

from keras_selectscale.data.prepared_folder import METADATA, data_folder, find_prepared, preparation


def make(folder, files=METADATA):
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_text("{}")
    return folder


def test_the_newest_version_is_found(tmp_path):
    for version in ("3.0.2", "3.0.10", "3.0.9"):
        make(tmp_path / "cifar10" / version)
    assert find_prepared("cifar10", tmp_path) == tmp_path / "cifar10" / "3.0.10"


def test_a_version_without_metadata_does_not_hide_another(tmp_path):
    make(tmp_path / "cifar10" / "3.0.2")
    make(tmp_path / "cifar10" / "3.1.0", files=METADATA[:1])
    make(tmp_path / "cifar10" / "incomplete.ABCDEF_3.1.0")
    assert find_prepared("cifar10", str(tmp_path)) == tmp_path / "cifar10" / "3.0.2"


def test_default_is_that_of_tfds(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "from_env"))
    assert data_folder(None) == tmp_path / "from_env"
    assert data_folder(tmp_path) == tmp_path
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder(None) == tmp_path / "tensorflow_datasets"
    assert data_folder("~/here") == tmp_path / "here"


def missing(data_dir, name="cifar10"):
    with pytest.raises(FileNotFoundError) as caught:
        find_prepared(name, data_dir)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"Dataset {name} is not prepared: ")
    return line


def test_nothing_there(tmp_path):
    assert f"there is no folder {tmp_path / 'cifar10'}. Prepare it" in missing(tmp_path)


def test_only_an_unfinished_preparation(tmp_path):
    make(tmp_path / "cifar10" / "incomplete.ABCDEF_3.0.2")
    assert "only an unfinished preparation. Prepare it" in missing(tmp_path)


def test_no_version_in_the_folder(tmp_path):
    make(tmp_path / "cifar10" / "old")
    assert "holds no version of it" in missing(tmp_path)


@pytest.mark.parametrize("lacking", METADATA)
def test_half_a_version_is_to_be_removed_first(tmp_path, lacking):
    folder = make(tmp_path / "cifar10" / "3.0.2", files=set(METADATA) - {lacking})
    line = missing(tmp_path)
    assert f"{folder} has no {lacking}. Remove {folder}, then prepare it" in line


def test_the_command_survives_the_shell():
    folder = pathlib.Path("""/a folder/o'brien "x" é""")
    python, option, code = shlex.split(preparation("cifar10", folder).split("): ", 1)[1])
    assert (python, option) == ("python", "-c")
    calls = []

    class Builder:
        def __init__(self, name, data_dir):
            calls.append((name, data_dir))

        def download_and_prepare(self):
            calls.append("prepared")

    imported, call = code.split("; ")
    assert imported == "import tensorflow_datasets as tfds"
    eval(call, {"tfds": type("tfds", (), {"builder": Builder})})
    assert calls == [("cifar10", str(folder)), "prepared"]
