"""Datasets of TensorFlow Datasets that are no CIFAR: streamed, of other forms, or refused."""

import json
import warnings

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_selectscale.data import (
    ImageData,
    InceptionAugmentation,
    StreamedImages,
    evaluation_batches,
    image_errors,
    load,
    training_batches,
)
from tests.data.builders import from_folder, image_features, prepare
from tests.data.folders import encode, make, picture

SIZES = ((60, 90), (75, 50), (40, 40))


def examples(count, height=6, width=7, label=None):
    return [
        {
            "file_name": str(number),
            "image": picture(number, height, width),
            "label": number % 2 if label is None else label,
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A dataset of the name and form of ImageNet: JPEG of varying size, a test without labels."""
    folder = make(tmp_path_factory.mktemp("images"), SIZES, form="JPEG", train=7, test=4)
    splits = from_folder(folder, "validation")
    splits["test"] = [example | {"label": -1} for example in splits["validation"][:2]]
    data_dir = tmp_path_factory.mktemp("tfds")
    features = image_features(encoding_format="jpeg")
    prepare(
        data_dir,
        "imagenet2012",
        features,
        splits,
        version="5.1.0",
        supervised_keys=("image", "label"),
    )
    return data_dir, folder


@pytest.mark.parametrize("name", ["imagenet2012", "tfds:imagenet2012:5.1.0"])
def test_imagenet_is_streamed_and_evaluated_on_its_validation_split(imagenet, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        data = load(name, data_dir=imagenet[0])
    assert isinstance(data, StreamedImages)
    assert (data.name, data.classes, data.input_shape) == (name, 2, (224, 224, 3))
    assert (data.train_count, data.test_count) == (14, 8)
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert data.augmentation == InceptionAugmentation(0.08, 4 / 3, True, 0.1)
    np.testing.assert_array_equal(data.test_labels, [0] * 4 + [1] * 4)
    (images, labels), *_ = training_batches(data, batch_size=5, seed=0).take(1)
    assert images.shape == (5, 224, 224, 3) and labels.shape == (5,)


def test_imagenet_in_a_subset_and_of_another_size(imagenet):
    data = load("imagenet2012", data_dir=imagenet[0], image_size=32, train_size=6, seed=1)
    np.testing.assert_array_equal(np.bincount(data.train_labels), [3, 3])
    (images, labels), *_ = evaluation_batches(data, batch_size=8, split="train")
    assert images.shape == (6, 32, 32, 3)
    np.testing.assert_array_equal(labels, data.train_labels)


def test_cifar100_takes_the_fine_label(tmp_path):
    features = {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(names=[f"class {number}" for number in range(100)]),
        "coarse_label": tfds.features.ClassLabel(num_classes=20),
    }
    split = [
        {
            "id": str(number),
            "image": picture(number, 32, 32),
            "label": number,
            "coarse_label": number % 20,
        }
        for number in range(100)
    ]
    prepare(tmp_path, "cifar100", features, {"train": split, "test": split[::-1]}, version="3.0.2")
    data = load("cifar100", data_dir=tmp_path)
    assert isinstance(data, ImageData) and data.classes == 100
    assert data.class_names == tuple(f"class {number}" for number in range(100))
    np.testing.assert_array_equal(data.train_labels, range(100))
    np.testing.assert_array_equal(data.train_images[3], picture(3, 32, 32))
    assert (data.augmentation.padding, data.augmentation.flip) == (4, True)


def test_configs_and_versions_are_found(tmp_path):
    for config, count in (("small", 4), ("large", 8)):
        splits = {"train": examples(count), "test": examples(2)}
        prepare(tmp_path, "many", image_features(6, 7), splits, config=config)
    splits = {"train": examples(6), "test": examples(2)}
    prepare(tmp_path, "many", image_features(6, 7), splits, config="small", version="1.2.0")
    for name, count in (("small", 6), ("small:1.0.0", 4), ("small:1.2.0", 6), ("large", 8)):
        data = load(f"tfds:many/{name}", data_dir=tmp_path)
        assert data.train_count == count and data.name == f"tfds:many/{name}"
    for name, found in (
        ("many", "but of many/large, many/small. Prepare"),
        ("many/other", "there is no folder"),
        ("many/large:2.0.0", "holds no version 2.0.0. Prepare"),
    ):
        with pytest.raises(FileNotFoundError, match=found) as caught:
            load(f"tfds:{name}", data_dir=tmp_path)
        line = str(caught.value)
        assert "\n" not in line and f'tfds.builder("{name}", data_dir="{tmp_path}")' in line


def test_validation_stands_for_a_missing_test_split_and_says_so(tmp_path):
    splits = {"train": examples(6), "validation": examples(4)}
    prepare(tmp_path, "no_test", image_features(6, 7), splits)
    with pytest.warns(UserWarning, match="tfds:no_test has no test split: its validation split"):
        data = load("tfds:no_test", data_dir=tmp_path)
    assert data.test_count == 4


def test_a_dataset_of_one_split_is_refused(tmp_path):
    folder = prepare(tmp_path, "alone", image_features(6, 7), {"train": examples(6)})
    with pytest.raises(
        FileNotFoundError, match=f"^{folder} has no test or validation split; its splits: train$"
    ):
        load("tfds:alone", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("features", "named"),
    [
        (
            {"sentence": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=2)},
            r"which has label \(ClassLabel\), sentence \(Text\)$",
        ),
        (
            {"image": tfds.features.Image(shape=(2, 2, 3)), "label": tfds.features.Text()},
            r"which has image \(Image\), label \(Text\)$",
        ),
        (
            {
                "image": tfds.features.Image(shape=(2, 2, 4)),
                "label": tfds.features.ClassLabel(num_classes=2),
            },
            r"8 bits and 1 or 3 channels.*\(2, 2, 4\)",
        ),
        (
            {
                "image": tfds.features.Image(shape=(2, 2, 1), dtype=np.uint16),
                "label": tfds.features.ClassLabel(num_classes=2),
            },
            "8 bits.*uint16",
        ),
        (
            {
                "image": tfds.features.Image(shape=(2, 2, 3)),
                "label": tfds.features.ClassLabel(num_classes=1),
            },
            "at least 2 classes.*which has 1$",
        ),
    ],
)
def test_what_is_no_image_classification_is_refused(tmp_path, features, named):
    values = {"sentence": "x", "label": 0}
    if isinstance(features["label"], tfds.features.Text):
        values["label"] = "x"
    if "image" in features:
        values["image"] = np.zeros(features["image"].shape, features["image"].np_dtype)
    example = {key: values[key] for key in features}
    prepare(tmp_path, "other", features, {"train": [example], "test": [example]})
    with pytest.raises(ValueError, match=f"^Argument `dataset` must name .*{named}") as caught:
        load("tfds:other", data_dir=tmp_path)
    assert "\n" not in str(caught.value) and "dataset='tfds:other'" in str(caught.value)


def test_features_of_other_names_are_found(tmp_path):
    features = {
        "picture": tfds.features.Image(shape=(6, 7, 3)),
        "kind": tfds.features.ClassLabel(num_classes=2),
    }
    split = [{"picture": each["image"], "kind": each["label"]} for each in examples(4)]
    prepare(tmp_path, "renamed", features, {"train": split, "test": split})
    np.testing.assert_array_equal(load("tfds:renamed", data_dir=tmp_path).train_labels, [0, 1] * 2)


def test_labels_out_of_range_are_named(tmp_path):
    bad = examples(4)
    bad[2]["label"] = -1
    splits = {"train": examples(4), "test": bad}
    prepare(tmp_path, "unlabelled", image_features(6, 7), splits)
    named = (
        "tfds:unlabelled must have labels from 0 to 1. Received: -1 for image 2 of its test split"
    )
    with pytest.raises(ValueError, match=named):
        load("tfds:unlabelled", data_dir=tmp_path)
    prepare(tmp_path, "streamed", image_features(), splits)
    data = load("tfds:streamed", data_dir=tmp_path, image_size=8)
    with pytest.raises(OSError, match="^Cannot use the image at byte .*: its label is -1"):
        with image_errors():
            list(evaluation_batches(data, batch_size=2))
    with pytest.raises(
        ValueError, match="must have labels from 0 to 1. Received: -1 for the image at byte"
    ):
        _ = data.test_labels


def test_too_large_of_one_size_is_streamed(tmp_path, monkeypatch):
    from keras_selectscale.data import arrays

    prepare(tmp_path, "large", image_features(6, 7), {"train": examples(4), "test": examples(2)})
    monkeypatch.setattr(arrays, "LARGEST_IN_MEMORY", 6 * 6 * 7 * 3 - 1)
    data = load("tfds:large", data_dir=tmp_path)
    assert isinstance(data, StreamedImages) and data.input_shape == (6, 6, 3)


@pytest.fixture
def streamed(tmp_path):
    splits = {"train": examples(4), "test": examples(2)}
    return prepare(tmp_path, "varying", image_features(), splits)


def test_a_cut_file_is_noticed_at_once(streamed):
    (shard,) = streamed.glob("varying-train.tfrecord*")
    content = shard.read_bytes()
    shard.write_bytes(content[:-10])
    with pytest.raises(OSError, match=f"^The train split cannot be read .*{shard} ends within"):
        load("tfds:varying", data_dir=streamed.parents[1])
    shard.write_bytes(b"")
    with pytest.raises(OSError, match="should hold 4 images, but holds 0. Remove"):
        load("tfds:varying", data_dir=streamed.parents[1])


def test_a_missing_file_is_noticed_at_once(streamed):
    (shard,) = streamed.glob("varying-train.tfrecord*")
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=f"{shard} is missing. Remove {streamed}"):
        load("tfds:varying", data_dir=streamed.parents[1])


def test_other_file_formats_are_refused(streamed):
    info = json.loads((streamed / "dataset_info.json").read_text())
    info["fileFormat"] = "riegeli"
    (streamed / "dataset_info.json").write_text(json.dumps(info))
    for path in streamed.glob("*.tfrecord*"):
        path.rename(path.with_name(path.name.replace("tfrecord", "riegeli")))
    with pytest.raises(OSError, match="has riegeli files; .* only read from tfrecord files"):
        load("tfds:varying", data_dir=streamed.parents[1])


def test_an_undecodable_image_in_memory_is_named_by_its_split(tmp_path):
    class Bytes(tfds.features.Image):
        """Writes what it is given."""

        def encode_example(self, example):
            return example

    features = image_features(6, 7)
    features["image"] = Bytes(shape=(6, 7, 3))
    bad = [each | {"image": encode(each["image"])} for each in examples(4)]
    bad[1]["image"] = bad[1]["image"][:60]
    folder = prepare(tmp_path, "broken", features, {"train": bad, "test": bad})
    spec = json.loads((folder / "features.json").read_text())
    image = tfds.features.Image
    spec["featuresDict"]["features"]["image"]["pythonClassName"] = (
        f"{image.__module__}.{image.__qualname__}"
    )
    (folder / "features.json").write_text(json.dumps(spec))
    with pytest.raises(OSError, match=f"^The train split in {folder} cannot be read") as caught:
        load("tfds:broken", data_dir=tmp_path)
    assert "\n" not in str(caught.value)
