import json

import keras
from matplotlib.image import imread

from keras_selectscale import models


def test_the_command_draws_two_networks_and_measures_them(command, tmp_path):
    keras.utils.set_random_seed(1)
    for name in ("a", "b"):
        models.build("resnet-8", input_shape=(8, 8, 1), classes=10).save(tmp_path / f"{name}.keras")
    status, out, err = command(
        *("cam", "a.keras", "b.keras", "--dataset", "digits", "--images", "0,3", "--measure", 20)
    )
    assert status == 0, err
    assert imread(tmp_path / "cam.png").std() > 0
    found = json.loads((tmp_path / "cam.json").read_text())
    assert found["images"] == 20 and list(found["differences"]) == ["b - a"]
    assert "b - a: share" in out
    status, out, err = command("cam", "a.keras", "--dataset", "digits", "--images", "900")
    assert status == 2 and "--images" in err and err.count("\n") == 1
