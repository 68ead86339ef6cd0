import keras
import numpy as np
import pytest

from keras_selectscale import export
from keras_selectscale.exporting.litert_file import read_litert
from tests.exporting.models import MODELS

tf = pytest.importorskip("tensorflow")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")
pytestmark = pytest.mark.usefixtures("on_tensorflow")


@pytest.mark.parametrize("make", MODELS)
def test_every_kind_of_model_is_exported_and_proved(make, tmp_path):
    report = export(MODELS[make](), tmp_path / "model.tflite", "litert")
    assert report.passed and report.largest_difference < 1e-5 and report.random_nodes == ()
    assert report.nodes > 0 and report.bytes == (tmp_path / "model.tflite").stat().st_size
    assert list(tmp_path.iterdir()) == [tmp_path / "model.tflite"]


def test_litert_runs_it_by_name_with_any_batch_size(tmp_path):
    model = MODELS["dicts"]()
    recurrent = next(x for x in model.layers if isinstance(x, keras.layers.GRU))
    export(model, tmp_path / "model.tflite", "litert")
    assert not recurrent.unroll
    runner = interpreter.Interpreter(str(tmp_path / "model.tflite")).get_signature_runner()
    generator = np.random.default_rng(1)
    for batch in (1, 5):
        x = {
            "image": generator.integers(0, 256, (batch, 6, 6, 2)).astype("uint8"),
            "words": generator.integers(0, 7, (batch, 5)).astype("int32"),
        }
        outputs, expected = runner(**x), model(x, training=False)
        assert set(outputs) == {"label", "score"}
        for name in outputs:
            np.testing.assert_allclose(outputs[name], expected[name], atol=1e-5)


def test_what_litert_cannot_hold_is_said_and_leaves_nothing(tmp_path):
    words = keras.Input((None,), dtype="int32")  # A loop of so many steps cannot be unrolled.
    model = keras.Model(words, keras.layers.LSTM(3)(keras.layers.Embedding(5, 2)(words)))
    with pytest.raises(RuntimeError, match="LiteRT lacks operations.*tensor list"):
        export(model, tmp_path / "model.tflite", "litert")
    assert list(tmp_path.iterdir()) == []


layers = keras.layers
CUBE = (5, 6, 7, 4)
LAYERS = {
    "groups": (CUBE, lambda: layers.Conv3D(6, 3, groups=2, strides=2)),
    "depthwise groups": (CUBE, lambda: layers.Conv3D(8, 2, groups=4, padding="same")),
    "dilated": (CUBE, lambda: layers.Conv3D(4, 2, groups=2, dilation_rate=(2, 1, 3))),
    "max pooling": (CUBE, lambda: layers.MaxPooling3D((2, 3, 2))),
    "average pooling": (CUBE, lambda: layers.AveragePooling3D(2, padding="same")),
    "1-D transposed": ((6, 3), lambda: layers.Conv1DTranspose(4, 3, dilation_rate=2)),
    "2-D transposed": (
        (5, 6, 3),
        lambda: layers.Conv2DTranspose(4, 3, dilation_rate=2, padding="same"),
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_are_composed_of_what_litert_has(kind, tmp_path):
    shape, make = LAYERS[kind]
    layer = make()
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    report = export(model, tmp_path / "model.tflite", "litert")
    assert report.passed and report.largest_difference < 2e-6
    assert "call" not in vars(layer) and "convolution_op" not in vars(layer)


def test_custom_operations_are_seen_by_their_own_name(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
    def draw(x):
        return {"y": tf.math.top_k(x + tf.random.stateless_normal(tf.shape(x), [1, 2]), 2)[0]}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([draw.get_concrete_function()])
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    nodes = read_litert(tmp_path / "model.tflite").nodes
    assert "TOPK_V2" in nodes and "FlexStatelessRandomNormalV2" in nodes and "ADD" in nodes
