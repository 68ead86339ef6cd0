import dataclasses
import json
import sys

import keras
import numpy as np
import pytest

import keras_selectscale
from keras_selectscale import export
from keras_selectscale.exporting import ExportError, formats, tensorflow_process
from tests.exporting.models import MODELS, scheduled_model

PATHS = {
    "tf_saved_model": "m",
    "onnx": "m.onnx",
    "litert": "m.tflite",
    "openvino": "m.xml",
    "keras": "m.keras",
}


@pytest.fixture(scope="module")
def model():
    return MODELS["fixed_batch"]()


def every_format(test):
    return pytest.mark.parametrize("format, name", PATHS.items())(test)


def skip_where_it_cannot_be_written(format):
    if keras.backend.backend() != "tensorflow" and format != "keras":
        pytest.skip("written by TensorFlow")
    for package in formats.FORMATS[format].packages:
        pytest.importorskip(package)


def contents(folder):
    return {str(p.relative_to(folder)): p.is_file() and p.read_bytes() for p in folder.rglob("*")}


def test_the_public_names_are_functions():
    assert keras_selectscale.export is export and callable(keras_selectscale.verify_export)


@every_format
def test_a_path_that_exists_is_left_alone(format, name, model, tmp_path):
    skip_where_it_cannot_be_written(format)
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=f"{name} exists"):
        export(model, tmp_path / name, format)
    assert contents(tmp_path) == {name: b"mine"}


@every_format
def test_an_older_export_is_replaced_where_that_is_said(format, name, model, tmp_path):
    skip_where_it_cannot_be_written(format)
    export(model, tmp_path / name, format)
    before = contents(tmp_path)
    kernel = model.get_layer("out").kernel
    kernel.assign(kernel + 1.0)
    export(model, tmp_path / name, format, overwrite=True)
    after = contents(tmp_path)
    assert before.keys() == after.keys() and before != after
    assert keras_selectscale.verify_export(tmp_path / name, model).passed


@every_format
def test_other_things_than_an_export_are_never_replaced(format, name, model, tmp_path):
    skip_where_it_cannot_be_written(format)
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match="not replaced"):
        export(model, tmp_path / name, format, overwrite=True)
    assert contents(tmp_path)[f"{name}/thesis.tex"] == b"mine"


def test_what_lies_beside_a_saved_model_is_not_lost(model, tmp_path):
    skip_where_it_cannot_be_written("tf_saved_model")
    export(model, tmp_path / "saved", "tf_saved_model")
    (tmp_path / "saved" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="notes.txt.*not replaced"):
        export(model, tmp_path / "saved", "tf_saved_model", overwrite=True)
    assert contents(tmp_path)["saved/notes.txt"] == b"mine"


@every_format
@pytest.mark.parametrize("when", ["write", "proof"])
def test_a_failure_leaves_what_was_there_and_nothing_else(
    format, name, when, model, tmp_path, monkeypatch
):
    skip_where_it_cannot_be_written(format)
    export(model, tmp_path / name, format)
    before = contents(tmp_path)
    kind = formats.FORMATS[format]

    def fail(model, signature, path):
        kind.write(model, signature, path)
        # As a converter does that takes TensorFlow's error for one of the model.
        cause = RuntimeError(f"{path}/part; No space left on device")
        raise ExportError("the converter lacks operations for this model") from cause

    def other(model, signature, path):
        kernel = model.get_layer("out").kernel
        kernel.assign(kernel + 1.0)
        kind.write(model, signature, path)
        kernel.assign(kernel - 1.0)

    broken = dataclasses.replace(kind, write=fail if when == "write" else other)
    monkeypatch.setitem(formats.FORMATS, format, broken)
    with pytest.raises(OSError if when == "write" else ExportError) as raised:
        export(model, tmp_path / name, format, overwrite=True)
    assert contents(tmp_path) == before
    if when == "write":
        words = "cannot be written: No space left on device"
        assert str(raised.value).startswith(f"{tmp_path / name} {words}")
    else:
        report = raised.value.report
        assert not report.passed and report.largest_difference > 0.1
        assert str(tmp_path / name) == report.path and "outputs differ" in str(raised.value)


@every_format
def test_a_failed_rename_leaves_what_was_there(format, name, model, tmp_path, monkeypatch):
    skip_where_it_cannot_be_written(format)
    export(model, tmp_path / name, format)
    before = contents(tmp_path)
    from keras_selectscale.exporting import write

    real = write.os.replace

    def replace(source, target):
        if "new" in str(source) and not str(source).endswith("part"):
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(write.os, "replace", replace)
    with pytest.raises(OSError, match="cannot be written: Permission denied"):
        export(model, tmp_path / name, format, overwrite=True)
    assert contents(tmp_path) == before


def test_an_unknown_format_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="`format`.*litert.*onnx.*'pickle'"):
        export(model, tmp_path / "m", "pickle")


def on_another_backend(monkeypatch):
    """Makes the formats believe that the backend is not TensorFlow."""
    elsewhere = property(lambda kind: kind.on_tensorflow)
    monkeypatch.setattr(formats.Format, "is_written_elsewhere", elsewhere)


@every_format
def test_without_tensorflow_one_line_says_what_to_install(
    format, name, model, tmp_path, monkeypatch
):
    if format == "keras":
        pytest.skip("every backend writes it")
    on_another_backend(monkeypatch)
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs the package tensorflow.*\[tensorflow,export\]"):
        export(model, tmp_path / name, format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_another_process_writes_and_verifies_for_another_backend(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    on_another_backend(monkeypatch)
    model = scheduled_model()
    report = export(model, tmp_path / "m", "tf_saved_model")
    assert report and report.path == str(tmp_path / "m") and report.largest_difference == 0.0
    assert "separate process" in report.notices[-1] and report.random_nodes == ()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m"]

    kernel = model.get_layer("logits").kernel
    kernel.assign(kernel + 1.0)
    again = keras_selectscale.verify_export(tmp_path / "m", model)
    assert not again and any("those of the model on" in reason for reason in again.reasons)


def test_a_model_that_another_process_cannot_load_is_one_line(tmp_path, monkeypatch):
    class Own(keras.layers.Layer):
        def call(self, inputs):
            return 2.0 * inputs

    on_another_backend(monkeypatch)
    monkeypatch.setattr(formats, "require", lambda *names: None)
    monkeypatch.setattr(
        tensorflow_process, "_run", lambda folder, kind: answered(folder, tensorflow_process)
    )
    inputs = keras.Input((3,))
    what = "the class of 'twice', 'Own': save its weights .*KERAS_BACKEND=tensorflow"
    with pytest.raises(ExportError, match=what) as e:
        export(keras.Model(inputs, Own(name="twice")(inputs)), tmp_path / "m", "tf_saved_model")
    assert "\n" not in str(e.value) and list(tmp_path.iterdir()) == []


def test_a_subclassed_model_that_cannot_go_to_another_process_says_what_to_do(
    tmp_path, monkeypatch
):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop = keras_selectscale.SpatialScale(retaining_rate=0.5)

        def call(self, inputs, training=False):
            return self.drop(inputs, training=training)

    on_another_backend(monkeypatch)
    monkeypatch.setattr(formats, "require", lambda *names: None)
    model = Net()
    model(np.zeros((1, 4, 3), "float32"))
    with pytest.raises(ExportError, match="subclassed") as e:
        export(model, tmp_path / "m", "tf_saved_model")
    assert "save its weights" in str(e.value) and list(tmp_path.iterdir()) == []


def answered(folder, module):
    """Does in this process what the other one does."""
    module.main(str(folder))
    return json.loads((folder / module.ANSWER).read_text())


@pytest.mark.usefixtures("on_tensorflow")
@pytest.mark.parametrize(
    "module, package, format",
    [
        ("tf2onnx", "tf2onnx", "onnx"),
        ("onnxruntime", "onnxruntime", "onnx"),
        ("ai_edge_litert", "ai-edge-litert", "litert"),
    ],
)
def test_a_missing_package_is_said_with_the_line_that_installs_it(
    module, package, format, model, tmp_path, monkeypatch
):
    for other in formats.FORMATS[format].packages:
        if other != module:
            pytest.importorskip(other)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install {package} .*\[export\]"):
        export(model, tmp_path / PATHS[format], format)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        (tmp_path / PATHS[format]).touch()
        keras_selectscale.verify_export(tmp_path / PATHS[format], model)


@pytest.mark.parametrize(
    "format, name", [("onnx", "m"), ("litert", "m.onnx"), ("keras", "m.h5"), ("keras", "keras")]
)
def test_a_file_of_another_end_is_refused(format, name, model, tmp_path):
    skip_where_it_cannot_be_written(format)
    with pytest.raises(ValueError, match=f"`path` must end with .*'{format}'"):
        export(model, tmp_path / name, format)


@pytest.mark.usefixtures("on_tensorflow")
@pytest.mark.parametrize("name", ["m.onnx", "m.tflite", "m.keras"])
def test_a_folder_with_the_end_of_a_file_is_refused(name, model, tmp_path):
    with pytest.raises(ValueError, match="`path` must be a folder"):
        export(model, tmp_path / name)


@every_format
def test_a_missing_folder_is_refused(format, name, model, tmp_path):
    skip_where_it_cannot_be_written(format)
    with pytest.raises(FileNotFoundError, match="not a folder: create it"):
        export(model, tmp_path / "missing" / name, format)
    assert list(tmp_path.iterdir()) == []


@every_format
def test_an_unbuilt_model_is_refused(format, name, tmp_path):
    skip_where_it_cannot_be_written(format)
    with pytest.raises(ValueError, match="`model`.*built"):
        export(keras.Sequential([keras.layers.Dense(1)]), tmp_path / name, format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_tensorflow")
def test_a_model_that_draws_by_itself_is_refused_with_the_reason(tmp_path):
    class Sampling(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)
            self.seeds = keras.random.SeedGenerator(1)

        def call(self, inputs):
            x = self.dense(inputs)
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    model = Sampling()
    model(np.zeros((1, 2), "float32"))
    with pytest.raises(ExportError, match="draws.*StatelessRandomNormal") as raised:
        export(model, tmp_path / "m")
    assert any("no weights of the model" in reason for reason in raised.value.report.reasons)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_tensorflow")
def test_an_export_while_the_drops_are_held_on_is_without_them(tmp_path):
    model = scheduled_model()
    with keras_selectscale.drops_active(model):
        assert export(model, tmp_path / "m").passed


@every_format
def test_the_model_stays_as_it_was_its_states_and_seeds_included(format, name, tmp_path):
    skip_where_it_cannot_be_written(format)
    made = MODELS["recurrent" if format != "keras" else "monte_carlo"]()
    x = np.ones((2, *made.inputs[0].shape[1:]), "float32")
    made(x, training=True)  # A state that is not zero.
    before = [keras.ops.convert_to_numpy(v.value) for v in made.variables]
    assert export(made, tmp_path / name, format).passed
    after = [keras.ops.convert_to_numpy(v.value) for v in made.variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
