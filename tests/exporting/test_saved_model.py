import keras
import numpy as np
import pytest
from keras_selectscale.export import write_saved_model

from tests.export.models import scheduled_model

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a SavedModel is written by TensorFlow"
)


def test_it_holds_inference_and_nothing_else(tmp_path):
    model = scheduled_model()
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(5, 8, 12, 1)).astype("float32")
    model.fit(x, np.zeros((5, 10)), verbose=0)
    path = write_saved_model(model, tmp_path / "new" / "exported")
    loaded = tf.saved_model.load(str(path))
    variables = loaded.signatures["serving_default"].variables
    weights = [w for w in model.weights if "training_calls" not in w.path]
    assert len(weights) < len(model.weights)
    assert len(variables) == len(weights)
    np.testing.assert_array_equal(
        sorted(float(np.sum(v.numpy())) for v in variables),
        sorted(float(np.sum(keras.ops.convert_to_numpy(w.value))) for w in weights),
    )
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert size < 1.1 * 4 * sum(int(np.prod(w.shape)) for w in weights) + 2**20


def test_the_signature_names_inputs_and_outputs_and_leaves_the_batch_free(tmp_path):
    model = scheduled_model()
    loaded = tf.saved_model.load(str(write_saved_model(model, tmp_path / "exported")))
    serve = loaded.signatures["serving_default"]
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(size=(batch, 8, 12, 1)).astype("float32")
        outputs = serve(images=tf.constant(x))
        assert list(outputs) == ["logits"]
        expected = keras.ops.convert_to_numpy(model(x))
        np.testing.assert_allclose(outputs["logits"].numpy(), expected, atol=1e-5)


def test_it_serves_as_a_layer_of_keras(tmp_path):
    model = scheduled_model()
    path = write_saved_model(model, tmp_path / "exported")
    layer = keras.layers.TFSMLayer(str(path), call_endpoint="serve")
    x = np.random.default_rng(0).normal(size=(2, 8, 12, 1)).astype("float32")
    np.testing.assert_allclose(layer(x)["logits"].numpy(), model(x).numpy(), atol=1e-5)


def test_a_path_that_exists_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="mine exists"):
        write_saved_model(scheduled_model(), tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="No space"):
        write_saved_model(scheduled_model(), tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_an_unbuilt_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`model`.*built"):
        write_saved_model(keras.Sequential([keras.layers.Dense(1)]), tmp_path / "exported")
