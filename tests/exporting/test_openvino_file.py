import keras
import numpy as np
import pytest

from keras_selectscale import export, verify_export
from tests.exporting.models import MODELS

openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.usefixtures("on_tensorflow")


@pytest.mark.parametrize("make", ["sequential", "monte_carlo", "nested", "several"])
def test_kinds_of_models_are_exported_and_proved(make, tmp_path):
    report = export(MODELS[make](), tmp_path / "m.xml", "openvino")
    assert report.passed and report.random_nodes == () and report.largest_difference < 1e-5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.bin", "m.xml"]
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert report.bytes == sum(sizes)


def test_the_weights_beside_a_file_are_replaced_with_it_and_never_without_being_told(tmp_path):
    model = MODELS["sequential"]()
    (tmp_path / "m.bin").write_text("mine")
    with pytest.raises(FileExistsError, match="m.bin exists"):
        export(model, tmp_path / "m.xml", "openvino")
    assert (tmp_path / "m.bin").read_text() == "mine"
    export(model, tmp_path / "m.xml", "openvino", overwrite=True)
    assert verify_export(tmp_path / "m.xml", model).passed
    (tmp_path / "m.bin").unlink()
    assert not verify_export(tmp_path / "m.xml", model)


def test_a_drop_that_is_always_on_does_not_pass(tmp_path):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs, training=True))
    model(np.ones((1, 6), "float32"))
    model.export(str(tmp_path / "m.xml"), format="openvino", verbose=False)
    report = verify_export(tmp_path / "m.xml", model)
    assert not report.passed and any("Random" in node for node in report.random_nodes)
