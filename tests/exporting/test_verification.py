import keras
import numpy as np
import pytest
from keras_selectscale.export import verify_saved_model, write_saved_model

from keras_selectscale import Selectout
from tests.export.models import scheduled_model

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a SavedModel is written by TensorFlow"
)


def test_the_proof_finds_a_drop_that_is_still_there(tmp_path):
    inputs = keras.Input((8, 12, 4), name="images")
    outputs = Selectout(top_rate=0.5, retaining_rate=0.5, name="kept")(inputs, training=True)
    model = keras.Model(inputs, outputs)
    model.export(tmp_path / "plain", verbose=False)
    x = tf.ones((2, 8, 12, 4))
    served = tf.saved_model.load(str(tmp_path / "plain"))
    assert set(np.unique(next(iter(served.signatures["serving_default"](x).values())))) == {0, 2}

    report = verify_saved_model(tmp_path / "plain", model)
    assert not report.passed
    assert any("Random" in node for node in report.random_nodes)
    assert any("TopK" in node for node in report.random_nodes)
    assert verify_saved_model(write_saved_model(model, tmp_path / "ours"), model).passed


def test_the_proof_finds_other_weights(tmp_path):
    model = scheduled_model()
    path = write_saved_model(model, tmp_path / "exported")
    assert verify_saved_model(path, model).passed
    logits = model.get_layer("logits")
    logits.bias.assign(logits.bias + 1.0)
    report = verify_saved_model(path, model)
    assert not report.passed and report.largest_difference == pytest.approx(1.0, abs=1e-4)


def test_the_proof_passes_what_is_clean_and_says_so(tmp_path):
    model = scheduled_model()
    report = verify_saved_model(write_saved_model(model, tmp_path / "exported"), model)
    assert report.passed and report.random_nodes == () and report.largest_difference == 0.0
    assert report.nodes > 50 and report.size > 4 * model.count_params() - 100
    assert "none" in str(report)
