import json
import re

import keras
import numpy as np
import pytest

from keras_selectscale import export, verify_export
from tests.exporting.models import MODELS, moved, scheduled_model

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.usefixtures("on_tensorflow")

DRAWS = re.compile("Random|Stateless(?!If|While|Case)|Stateful(?!Partitioned)|TopK|Multinomial")


def all_nodes(path):
    """Returns the nodes of the file, walked by hand."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    for graph in content.meta_graphs:
        yield from graph.graph_def.node
        for function in graph.graph_def.library.function:
            yield from function.node_def


def variables_in(path):
    return [n for n, _ in tf.train.list_variables(str(path / "variables/variables")) if n[0] != "_"]


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_every_kind_of_model_is_exported_and_proved(make, tmp_path):
    model = make()
    report = export(model, tmp_path / "exported")
    assert report.passed and report.largest_difference == 0.0 and report.random_nodes == ()
    assert list(tmp_path.iterdir()) == [tmp_path / "exported"]
    nodes = [node.op for node in all_nodes(tmp_path / "exported")]
    assert report.nodes == len(nodes) > 10
    drawing = {node for node in nodes if DRAWS.search(node)}
    assert drawing == ({"TopKV2"} if make.__name__ == "best_two" else set())
    assert report.bytes < 1.1 * report.weights_bytes + 2**20


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a trained and compiled network, its export and the report."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("written by TensorFlow")
    model = scheduled_model()
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(5, 8, 12, 1)).astype("float32")
    model.fit(x, np.zeros((5, 10)), verbose=0)
    path = tmp_path_factory.mktemp("exports") / "exported"
    return model, path, export(model, path)


def test_it_holds_inference_and_nothing_else(trained):
    model, path, report = trained
    weights = model.weights
    assert any("training_calls" in variable.path for variable in model.variables)
    reader = tf.train.load_checkpoint(str(path / "variables/variables"))
    found = [reader.get_tensor(name) for name in variables_in(path)]
    assert sorted(v.tobytes() for v in found) == sorted(w.numpy().tobytes() for w in weights)
    assert report.variables == len(weights)
    assert report.weights_bytes == sum(4 * int(np.prod(w.shape)) for w in weights)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert report.bytes == size < 1.1 * report.weights_bytes + 2**20


def test_the_signature_names_inputs_and_outputs_and_leaves_the_batch_free(trained):
    model, path, _ = trained
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(size=(batch, 8, 12, 1)).astype("float32")
        outputs = serve(images=tf.constant(x))
        assert list(outputs) == ["logits"]
        expected = model.predict(x, verbose=0)
        np.testing.assert_array_equal(outputs["logits"].numpy(), expected)
        np.testing.assert_array_equal(loaded.serve(x).numpy(), expected)


def test_a_size_that_the_model_leaves_free_is_free_in_the_file(tmp_path):
    model = MODELS["nested"]()
    export(model, tmp_path / "exported")
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    for height, width in ((5, 9), (20, 4)):
        x = np.random.default_rng(height).normal(size=(2, height, width, 3)).astype("float32")
        np.testing.assert_array_equal(loaded.serve(x).numpy(), model.predict(x, verbose=0))


def test_it_serves_as_a_layer_of_keras(trained):
    model, path, _ = trained
    x = np.random.default_rng(0).normal(size=(2, 8, 12, 1)).astype("float32")
    weights = model.weights
    for endpoint in ("serve", "serving_default"):
        layer = keras.layers.TFSMLayer(str(path), call_endpoint=endpoint)
        outputs = layer(x) if endpoint == "serve" else layer(x)["logits"]
        np.testing.assert_array_equal(outputs.numpy(), model.predict(x, verbose=0))
        assert len(layer.weights) == len(weights)


def test_dicts_go_into_a_layer_of_keras_and_come_out(tmp_path):
    model = MODELS["dicts"]()
    export(model, tmp_path / "exported")
    x = {
        "image": np.full((2, 6, 6, 2), 200, "uint8"),
        "words": np.array([[0, 6, 1, 2, 3]] * 2, "int32"),
    }
    outputs = keras.layers.TFSMLayer(str(tmp_path / "exported"))(x)
    expected = model(x, training=False)
    assert set(outputs) == {"label", "score"}
    for name in outputs:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-5)


def test_a_monte_carlo_drop_is_gone_and_the_model_as_it_was(tmp_path):
    model = MODELS["subclassed"]()
    x = {"image": tf.ones((2, 6, 7, 3)), "steps": tf.ones((2, 3, 4))}
    drop = model.drop
    export(model, tmp_path / "exported")
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    served = loaded.serve(x)
    np.testing.assert_array_equal(served["rest"][0], x["steps"])
    expected = model.conv(x["image"])
    for block in model.blocks:
        expected = block(expected)
    np.testing.assert_allclose(served["maps"], expected, atol=1e-5)
    assert "call" not in vars(drop)
    assert set(np.unique(model(x)["rest"][0])) == {0.0, 2.0}  # It draws as before.


def test_lookup_tables_go_with_it(tmp_path):
    words = keras.Input((), dtype="string", name="word")
    numbers = keras.layers.StringLookup(vocabulary=["a", "b"])(words)
    model = moved(keras.Model(words, keras.layers.Embedding(3, 2)(numbers)))
    assert export(model, tmp_path / "exported").passed
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    found = loaded.signatures["serving_default"](word=tf.constant(["b", "zzz"]))
    table = model.layers[-1].embeddings.numpy()
    np.testing.assert_array_equal(next(iter(found.values())), table[[2, 0]])


def test_words_that_are_declared_as_floats_are_proved(tmp_path):
    class Words(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = keras.layers.Embedding(5, 3)

        def call(self, inputs):
            return self.embedding(inputs)

    model = Words()
    model(np.zeros((1, 4), "int32"))
    assert export(model, tmp_path / "exported").passed


@pytest.mark.parametrize("name", ["e[b]c", "[a]", "a*?", "b\\c"])
def test_a_path_is_not_a_pattern(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert export(model, folder / name, overwrite=True).passed
    assert verify_export(folder / name, model).passed
    if name == "e[b]c":
        pytest.importorskip("ai_edge_litert")
        assert export(model, folder / "e[b].tflite", "litert").passed


def test_an_infinite_difference_is_stored(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    export(model, tmp_path / "exported")
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    report = verify_export(tmp_path / "exported", other)
    assert not report.passed and report.largest_difference == float("inf")
    stored = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert float(stored["largest_difference"]) == float("inf")
