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


def test_a_node_that_draws_does_not_pass(tmp_path):
    # OpenVINO converts no random operation of TensorFlow, so the file is edited.
    model = MODELS["sequential"]()
    export(model, tmp_path / "m.xml", "openvino")
    text = (tmp_path / "m.xml").read_text()
    assert 'type="MatMul"' in text
    (tmp_path / "m.xml").write_text(text.replace('type="MatMul"', 'type="RandomUniform"'))
    report = verify_export(tmp_path / "m.xml", model)
    assert not report.passed and report.random_nodes == ("RandomUniform",)
