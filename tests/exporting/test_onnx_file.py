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


layers = keras.layers


def grouped(rank, **kwargs):
    def make(x):
        return getattr(layers, f"Conv{rank}D")(8, 3, padding="same", **kwargs)(x)

    return make


NETWORKS = {
    **{f"{rank}-D groups": ((6,) * rank + (4,), grouped(rank, groups=2)) for rank in (1, 2, 3)},
    "1-D depthwise groups": ((6, 4), grouped(1, groups=4)),
    "2-D dilated groups": ((8, 8, 4), grouped(2, groups=2, dilation_rate=2)),
    "3-D strided groups": ((6, 6, 6, 4), grouped(3, groups=4, strides=2)),
    "groups of free size": ((None, None, 4), grouped(2, groups=2)),
    "kernel below stride": ((4, 4, 3), lambda x: layers.Conv2DTranspose(2, 2, strides=3)(x)),
    "exact gelu": ((5,), lambda x: layers.Activation("gelu")(keras.ops.gelu(4 * x, False))),
    "celu": ((5,), lambda x: layers.Activation("celu")(x)),
    "log1p": ((5,), lambda x: keras.ops.log1p(keras.ops.abs(x))),
    "argmax": ((5,), lambda x: keras.ops.argmax(x, axis=-1)),
    "bicubic": ((5, 6, 2), lambda x: layers.Resizing(7, 4, interpolation="bicubic")(x)),
    "normalization": ((4,), lambda x: layers.Normalization(mean=[1, 2, 3, 4], variance=[9] * 4)(x)),
    "normalization inverted": (
        (6, 6, 2),
        lambda x: layers.Normalization(mean=[1, 2], variance=[3, 4], invert=True)(x),
    ),
}


@pytest.mark.usefixtures("on_tensorflow")
@pytest.mark.parametrize("kind", NETWORKS)
def test_what_tf2onnx_does_not_convert_is_exported_and_proved(kind, tmp_path):
    shape, make = NETWORKS[kind]
    inputs = keras.Input(shape)
    report = export(keras.Model(inputs, make(inputs)), tmp_path / "model.onnx", "onnx")
    assert report.passed and report.largest_difference < 2e-6
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert len(session.get_inputs()) == 1


@pytest.mark.usefixtures("on_tensorflow")
def test_an_operation_without_counterpart_is_named(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.erfinv(keras.ops.tanh(inputs)))
    with pytest.raises(RuntimeError, match="no counterpart.*: Erfinv$"):
        export(model, tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_tensorflow")
def test_a_model_of_float64_is_exported_in_float32_with_a_notice(tmp_path):
    inputs = keras.Input((6,), dtype="float64")
    x = layers.BatchNormalization(dtype="float64")(inputs)
    model = keras.Model(inputs, layers.Dense(3, dtype="float64")(x))
    with pytest.warns(UserWarning, match="computes in float64, the file in float32"):
        report = export(model, tmp_path / "model.onnx", "onnx")
    assert report.passed and "float64" in str(report) and len(report.as_json()["notices"]) == 1
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert session.get_inputs()[0].type == "tensor(float)"
    assert verify_export(tmp_path / "model.onnx", model).notices == report.notices


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
