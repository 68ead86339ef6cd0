import json

import keras
import numpy as np
from matplotlib.image import imread
from PIL import Image

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
    for option, value in (("--images", "1"), ("--measure", "5"), ("--dataset", "digits")):
        status, out, err = command("cam", "run", "--epochs", option, value)
        assert status == 2 and f"omit {option}" in err and err.count("\n") == 1
    # Image files, of any size.
    pixels = np.random.default_rng(0).integers(0, 255, (20, 31, 3), "uint8")
    for name in ("cat.png", "dog.jpg"):
        Image.fromarray(pixels).save(tmp_path / name)
    status, out, err = command(
        "cam", "a.keras", "--dataset", "digits", "--images", "cat.png,dog.jpg"
    )
    assert status == 0 and "2 images, 1 network" in out, err
    (tmp_path / "cat.png").write_bytes(b"no image")
    for wanted in ("cat.png", "missing.png", "0,dog.jpg"):
        status, out, err = command("cam", "a.keras", "--dataset", "digits", "--images", wanted)
        name = wanted.split(",")[0]
        assert status == 2 and f"Cannot use the image {name}: " in err and err.count("\n") == 1
