import keras
import numpy as np
import pytest

from keras_selectscale import export, verify_export
from keras_selectscale.exporting.onnx_file import read_onnx
from keras_selectscale.surgery.strip import in_float32
from tests.exporting.models import MODELS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")


@pytest.mark.usefixtures("on_tensorflow")
@pytest.mark.parametrize("make", MODELS)
def test_every_kind_of_model_is_exported_and_proved(make, tmp_path):
    report = export(MODELS[make](), tmp_path / "model.onnx", "onnx")
    assert report.passed and report.largest_difference < 1e-5 and report.random_nodes == ()
    assert report.nodes > 0 and report.bytes == (tmp_path / "model.onnx").stat().st_size
    assert list(tmp_path.iterdir()) == [tmp_path / "model.onnx"]


@pytest.mark.usefixtures("on_tensorflow")
def test_onnxruntime_runs_it_by_name_with_any_batch_size(tmp_path):
    model = MODELS["dicts"]()
    export(model, tmp_path / "model.onnx", "onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    generator = np.random.default_rng(1)
    for batch in (1, 5):
        x = {
            "image": generator.integers(0, 256, (batch, 6, 6, 2)).astype("uint8"),
            "words": generator.integers(0, 7, (batch, 5)).astype("int32"),
        }
        label, score = session.run(["label", "score"], x)
        expected = model(x, training=False)
        np.testing.assert_allclose(label, expected["label"], atol=1e-5)
        np.testing.assert_allclose(score, expected["score"], atol=1e-5)


@pytest.mark.usefixtures("on_tensorflow")
def test_a_model_of_bfloat16_is_exported_in_float32(tmp_path):
    model, x = MODELS["in_bfloat16"](), np.random.default_rng(0).random((3, 8, 12, 1), "float32")
    export(model, tmp_path / "model.onnx", "onnx")
    assert verify_export(tmp_path / "model.onnx", model).passed
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    twin, half = in_float32(model)(x), model(x)
    np.testing.assert_allclose(found, twin, rtol=1e-5, atol=1e-5)
    assert np.abs(found - np.asarray(half, "float32")).max() > 1e-4


@pytest.mark.usefixtures("on_tensorflow")
def test_a_subclassed_model_of_bfloat16_is_refused_before_anything_is_written(tmp_path):
    class Halves(keras.Model):
        def __init__(self):
            super().__init__(dtype="mixed_bfloat16")
            self.dense = keras.layers.Dense(2, dtype="mixed_bfloat16")

        def call(self, inputs):
            return self.dense(inputs)

    model = Halves()
    model(np.ones((2, 3), "float32"))
    with pytest.raises(ValueError, match="bfloat16.*float32.*subclassed"):
        export(model, tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_tensorflow")
def test_what_onnx_cannot_hold_is_said_and_leaves_nothing(tmp_path):
    words = keras.Input((), dtype="string")
    outputs = keras.layers.StringLookup(vocabulary=["a"], output_mode="one_hot")(words)
    with pytest.raises(RuntimeError, match="LookupTable"):
        export(keras.Model(words, outputs), tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_nodes_of_branches_and_functions_are_seen(tmp_path):
    helper = onnx.helper
    value = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [2])
    draw = helper.make_node("RandomNormal", [], ["out"], shape=[2])
    still = helper.make_node("Constant", [], ["out"], value_floats=[1.0, 2.0])
    graphs = [helper.make_graph([node], "branch", [], [value]) for node in (draw, still)]
    branch = helper.make_node(
        "If", ["flag"], ["drawn"], then_branch=graphs[0], else_branch=graphs[1]
    )
    call = helper.make_node("Picks", ["drawn"], ["y"], domain="own")
    top = helper.make_node("TopK", ["x", "k"], ["y", "where"])
    one = helper.make_node("Constant", [], ["k"], value_ints=[1])
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("own", 1)]
    picks = helper.make_function("own", "Picks", ["x"], ["y"], [one, top], opsets)
    graph = helper.make_graph(
        [branch, call],
        "main",
        [helper.make_tensor_value_info("flag", onnx.TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, functions=[picks], opset_imports=opsets, ir_version=8)
    onnx.save(model, str(tmp_path / "hidden.onnx"))
    nodes = read_onnx(tmp_path / "hidden.onnx").nodes
    assert sorted(nodes) == ["Constant", "Constant", "If", "Picks", "RandomNormal", "TopK"]
