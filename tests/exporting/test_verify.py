import keras
import numpy as np
import pytest

from keras_selectscale import Selectout, SelectScale, export, verify_export
from keras_selectscale.exporting.formats import FORMATS
from keras_selectscale.exporting.proof import prove
from keras_selectscale.exporting.signature import signature_of
from tests.exporting.models import MODELS, moved, scheduled_model

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.usefixtures("on_tensorflow")


@pytest.fixture(scope="module")
def model():
    return scheduled_model()


def save(path, function, **tracked):
    """Writes a SavedModel by hand."""
    module = tf.Module()
    module.tracked = tracked
    tf.saved_model.save(module, str(path), signatures={"serving_default": function})


def test_a_plain_export_with_a_drop_that_is_always_on_does_not_pass(tmp_path):
    inputs = keras.Input((8, 12, 4), name="images")
    outputs = Selectout(top_rate=0.5, retaining_rate=0.5, name="kept")(inputs, training=True)
    model = keras.Model(inputs, outputs)
    model.export(tmp_path / "plain", verbose=False)
    x = tf.ones((2, 8, 12, 4))
    served = tf.saved_model.load(str(tmp_path / "plain"))
    assert set(np.unique(next(iter(served.signatures["serving_default"](x).values())))) == {0, 2}

    report = verify_export(tmp_path / "plain", model)
    assert not report and not report.passed and report.largest_difference > 0.1
    assert any("Random" in node for node in report.random_nodes)
    assert any("NthElement" in node for node in report.random_nodes)
    assert any("no weights of the model" in reason for reason in report.reasons)  # The seed.
    assert export(model, tmp_path / "ours").passed


@pytest.mark.parametrize("format, suffix", [("onnx", ".onnx"), ("litert", ".tflite")])
def test_a_plain_conversion_with_a_drop_that_is_always_on_does_not_pass(format, suffix, tmp_path):
    class AlwaysOn(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop = keras.layers.Dropout(0.5)

        def call(self, inputs):
            return self.drop(inputs, training=True)

    model = AlwaysOn()
    model(np.ones((1, 6), "float32"))
    if format == "onnx":
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
    else:
        pytest.importorskip("ai_edge_litert")
    path = tmp_path / f"plain{suffix}"
    if format == "onnx":
        model.export(str(path), format="onnx", verbose=False)
    else:
        model.export(str(tmp_path / "saved"), verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.SELECT_TF_OPS,
        ]
        path.write_bytes(converter.convert())
    report = verify_export(path, model)
    assert not report.passed and any("Random" in node for node in report.random_nodes)


def test_the_seed_that_keras_leaves_in_a_file_does_not_pass(tmp_path):
    inputs = keras.Input((4, 3))
    x = SelectScale(top_rate=0.5, retaining_rate=0.0)(inputs)
    model = moved(keras.Model(inputs, keras.layers.Dense(2)(x)))
    model.export(tmp_path / "plain", verbose=False)
    report = verify_export(tmp_path / "plain", model)
    assert report.random_nodes == () and report.largest_difference == 0.0
    assert not report.passed and len(report.reasons) == 1
    assert "no weights of the model" in report.reasons[0] and "[2]" in report.reasons[0]


@pytest.mark.parametrize("format, suffix", [("tf_saved_model", ""), ("onnx", ".onnx")])
def test_a_plain_export_of_a_model_without_drops_passes(format, suffix, tmp_path):
    if format == "onnx":
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
    first, second = keras.Input((3,)), keras.Input((4,))
    outputs = [keras.layers.Dense(2)(second), keras.layers.Dense(2)(first)]
    model = moved(keras.Model([first, second], outputs))
    model([np.ones((1, 3), "float32"), np.ones((1, 4), "float32")])
    path = tmp_path / f"plain{suffix}"
    model.export(str(path), format=format, verbose=False)
    report = verify_export(path, model)
    assert report and report.passed, report
    if format == "tf_saved_model":  # Keras writes each twice.
        assert report.variables == 2 * len(model.weights)
        proof = prove(path, model, signature_of(model), FORMATS[format])
        assert [reason[:31] for reason in proof.reasons] == ["It holds weights more than once"]


@pytest.mark.parametrize("format, suffix", [("tf_saved_model", ""), ("onnx", ".onnx")])
def test_other_weights_do_not_pass(format, suffix, tmp_path):
    if format == "onnx":
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
    model = scheduled_model()
    path = tmp_path / f"exported{suffix}"
    assert export(model, path, format).passed
    bias = model.get_layer("logits").bias
    bias.assign(bias + 1.0)
    report = verify_export(path, model)
    assert not report.passed and report.largest_difference > 1e-4
    assert report.random_nodes == ()
    assert any("lacks 1 of" in reason for reason in report.reasons) == (format != "onnx")


def test_swapped_weights_do_not_pass(tmp_path):
    inputs = keras.Input((3,))
    x = keras.layers.Dense(3, activation="relu", name="one")(inputs)
    model = moved(keras.Model(inputs, keras.layers.Dense(3, name="two")(x)))
    export(model, tmp_path / "exported")
    one, two = model.get_layer("one"), model.get_layer("two")
    kept = one.get_weights()
    one.set_weights(two.get_weights())
    two.set_weights(kept)
    report = verify_export(tmp_path / "exported", model)
    assert [reason[:12] for reason in report.reasons] == ["Its outputs "]


STATE = {}


def hidden_in_a_function(x):
    @tf.function
    def inner(x):
        return x + 0.0 * tf.random.stateless_uniform(tf.shape(x), [1, 2])

    return inner(x)


def hidden_in_a_loop(x):
    def body(step, x):
        return step + 1, x + 0.0 * tf.raw_ops.TruncatedNormal(shape=tf.shape(x), dtype=tf.float32)

    return tf.while_loop(lambda step, x: step < 2, body, (0, x))[1]


def hidden_in_a_branch(x):
    return tf.cond(
        tf.reduce_any(x > 1e9),
        lambda: x + STATE["generator"].uniform(tf.shape(x)),
        lambda: tf.identity(x),
    )


def by_rank(x):
    threshold = tf.math.top_k(x, 3)[0][:, -1:]
    return tf.where(x >= threshold, x, x)


def by_sorting(x):
    return x + 0.0 * tf.sort(x)


@pytest.mark.parametrize(
    "hide, node",
    [
        (hidden_in_a_function, "StatelessRandomUniformV2"),
        (hidden_in_a_loop, "TruncatedNormal"),
        (hidden_in_a_branch, "RngReadAndSkip"),
        (by_rank, "TopKV2"),
        (by_sorting, "TopKV2"),
    ],
)
def test_draws_and_selections_are_found_wherever_they_hide(hide, node, tmp_path):
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Activation("linear", name="y")(inputs))

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")], autograph=False)
    def serve(x):
        return {"y": hide(x)}

    STATE["generator"] = tf.random.Generator.from_seed(1, alg="philox")
    save(tmp_path / "hidden", serve.get_concrete_function(), **STATE)
    report = verify_export(tmp_path / "hidden", model)
    assert report.largest_difference == 0.0  # It shows in the graph alone.
    assert not report.passed and node in report.random_nodes


def test_a_model_may_rank_but_not_its_drops(tmp_path):
    model = MODELS["best_two"]()
    report = export(model, tmp_path / "exported")
    assert report.passed and report.random_nodes == ()


def test_other_inputs_and_outputs_do_not_pass(model, tmp_path):
    for name, function in {
        "inputs": lambda a, b: {"logits": a + b},
        "outputs": lambda images: {"logits": images, "more": images},
    }.items():
        names = ["a", "b"] if name == "inputs" else ["images"]
        specs = [tf.TensorSpec([None, 8, 12, 1], name=n) for n in names]
        serve = tf.function(function, input_signature=specs)
        save(tmp_path / name, serve.get_concrete_function())
        report = verify_export(tmp_path / name, model)
        assert not report.passed and report.largest_difference == float("inf")
        assert any(f"Its {name} are" in reason for reason in report.reasons)


@pytest.mark.parametrize("name", ["m.onnx", "m.tflite", "m.keras", "m"])
def test_what_is_no_export_does_not_pass_and_says_why(name, model, tmp_path):
    for package in {"m.onnx": ["onnxruntime", "tf2onnx"], "m.tflite": ["ai_edge_litert"]}.get(
        name, []
    ):
        pytest.importorskip(package)
    if name == "m":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"no model at all")
    report = verify_export(tmp_path / name, model)
    assert not report.passed and "cannot be read" in report.reasons[0]


def test_a_missing_path_and_an_unknown_end_are_refused(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        verify_export(tmp_path / "m.onnx", model)
    (tmp_path / "m.bin").touch()
    with pytest.raises(ValueError, match="`format` must be given"):
        verify_export(tmp_path / "m.bin", model)


def test_the_report_says_what_was_found(model, tmp_path):
    report = export(model, tmp_path / "exported")
    text = str(report)
    assert "passed" in text and "none" in text and "to the bit" in text
    assert f"{report.bytes:,}" in text and str(tmp_path / "exported") in text
    assert report.as_json()["passed"] is True and report.as_json()["random_nodes"] == []


def test_a_format_that_is_given_needs_no_ending(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    export(model, tmp_path / "model.onnx", "onnx")
    (tmp_path / "model.onnx").rename(tmp_path / "model.bin")
    assert verify_export(tmp_path / "model.bin", model, format="onnx").passed
    with pytest.raises(ValueError, match="format"):
        verify_export(tmp_path / "model.bin", model)
    with pytest.raises(FileNotFoundError, match="other.bin"):
        verify_export(tmp_path / "other.bin", model, format="keras")


def test_an_export_leaves_what_a_recurrent_layer_keeps(tmp_path):
    inputs = keras.Input(batch_shape=(2, 5, 3))
    kept = keras.layers.LSTM(3, stateful=True)
    model = keras.Model(inputs, keras.layers.Dense(2)(kept(inputs)))
    model(np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32"))
    before = [np.array(keras.ops.convert_to_numpy(state)) for state in kept.states]
    assert np.any(before[0] != 0)
    assert export(model, tmp_path / "model", "tf_saved_model").passed
    for was, state in zip(before, kept.states, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(state), was)
