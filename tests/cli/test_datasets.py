"""The command line on custom datasets."""

import json

import pytest
from PIL import Image

from keras_selectscale import data


@pytest.fixture
def folder(tmp_path):
    """Some of the digits as a folder of PNG files."""
    digits = data.load("digits")
    for split, count in (("train", 40), ("test", 20)):
        images = getattr(digits, f"{split}_images")[:count, :, :, 0]
        labels = getattr(digits, f"{split}_labels")[:count]
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = tmp_path / "images" / split / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return tmp_path / "images"


@pytest.mark.slow
def test_a_folder_of_images_is_trained_on_and_evaluated(command, tmp_path, folder):
    arguments = ["--network", "resnet-8", "--epochs", 1, "--run", "own", "--image-size", 12]
    status, out, err = command("train", "--dataset", f"folder:{folder}", *arguments)
    assert status == 0, err
    result = json.loads((tmp_path / "runs" / "own" / "result.json").read_text())
    status, out, _ = command("evaluate", "own")
    assert status == 0 and f"test error {result['test_error']:.2f}%" in out
    assert "on 20 images" in out


@pytest.mark.parametrize(
    "dataset, words",
    [
        ("mnist", ["--dataset", "mnist", "folder:PATH"]),
        ("folder:nowhere", ["nowhere"]),
        ("folder:", ["--dataset", "folder:"]),
        ("tfds:", ["--dataset", "tfds:"]),
        ("tfds:mnist", ["mnist", "nowhere"]),
        ("cifar100", ["cifar100", "nowhere"]),
        ("imagenet2012", ["imagenet2012", "nowhere"]),
    ],
)
def test_a_dataset_that_is_not_there_is_one_line(command, tmp_path, dataset, words):
    status, out, err = command(
        "train", "--network", "resnet-8", "--run", "x", "--dataset", dataset,
        "--data-dir", "nowhere",
    )  # fmt: skip
    assert status == 2 and out == "" and err.count("\n") == 1
    assert all(word in err for word in words), err
    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_image_is_named(command, folder):
    broken = next((folder / "train").rglob("*.png"))
    broken.write_bytes(broken.read_bytes()[:60])
    status, _, err = command(
        "train", "--network", "resnet-8", "--run", "x", "--dataset", f"folder:{folder}"
    )
    assert status == 2 and err.count("\n") == 1 and broken.name in err
