import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from keras_selectscale.data import (
    InceptionAugmentation,
    StreamedImages,
    evaluation_batches,
    image_errors,
    load,
    steps_per_epoch,
    training_batches,
)
from keras_selectscale.data.encoded_images import ImageFiles, index_records
from tests.data.folders import encode, make, picture, write

COUNT = 11


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Images of varying size and format, label i the only one of image i."""
    folder = tmp_path_factory.mktemp("images")
    paths = []
    for number in range(COUNT):
        pixels = picture(number, 20 + 3 * (number % 4), 30 - 4 * (number % 3))
        form = ("PNG", "JPEG", "BMP")[number % 3]
        paths.append(str(write(folder / f"{number:02d}.{form.lower()}", encode(pixels, form))))
    return ImageFiles(paths, np.arange(COUNT))


@pytest.fixture(scope="module")
def records(files, tmp_path_factory):
    """The same in two TFRecord files."""
    folder = tmp_path_factory.mktemp("records")
    names = [str(folder / f"réc-{shard}.tfrecord") for shard in range(2)]
    for shard, name in enumerate(names):
        with tf.io.TFRecordWriter(name) as writer:
            for number in range(COUNT)[slice(5) if shard == 0 else slice(5, None)]:
                content, label = files.read(number)
                example = tf.train.Example()
                example.features.feature["image"].bytes_list.value.append(content)
                example.features.feature["label"].int64_list.value.append(label)
                writer.write(example.SerializeToString())
    return index_records(names, "image", "label")


def streamed(source):
    return StreamedImages("made-up", source, source, classes=COUNT, size=16)


@pytest.fixture(params=["files", "records"])
def data(request, files, records):
    return streamed({"files": files, "records": records}[request.param])


@pytest.fixture(params=["files", pytest.param("records", marks=pytest.mark.slow)])
def read(request, files, records):
    """For what happens to images once they are read."""
    return streamed({"files": files, "records": records}[request.param])


def batches(count, data, **arguments):
    dataset = training_batches(data, **{"batch_size": 4, "seed": 3, **arguments})
    return [(x.numpy(), y.numpy()) for x, y in dataset.take(count)]


def test_files_and_records_read_the_same(files, records):
    assert len(records) == len(files) == COUNT
    np.testing.assert_array_equal(records.labels, files.labels)
    for source in (files, records, records.subset(np.array([7, 2]))):
        read = source.reader()
        contents, labels = read(tf.range(len(source), dtype=tf.int64))
        for number, (content, label) in enumerate(zip(contents, labels, strict=True)):
            assert (content.numpy(), int(label)) == source.read(number)
            assert source.read(number) == files.read(int(label))


@pytest.mark.parametrize(("batch_size", "steps"), [(4, 3), (11, 1), (99, 1)])
def test_each_epoch_is_a_permutation_in_ceil_batches(data, batch_size, steps):
    assert steps_per_epoch(data, batch_size) == steps
    labels = [y for _, y in batches(3 * steps, data, batch_size=batch_size)]
    sizes = [len(y) for y in labels]
    assert sizes == 3 * ([batch_size] * (steps - 1) + [COUNT - batch_size * (steps - 1)])
    epochs = np.concatenate(labels).reshape(3, COUNT)
    np.testing.assert_array_equal(np.sort(epochs), [range(COUNT)] * 3)
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize("first_step", [1, 5, 10**9 + 1])
@pytest.mark.parametrize(
    ("source", "batch_size"),
    [
        ("files", 4),
        ("records", 11),
        pytest.param("files", 11, marks=pytest.mark.slow),
        pytest.param("records", 4, marks=pytest.mark.slow),
    ],
)
def test_a_later_start_goes_on_to_the_bit(files, records, source, first_step, batch_size):
    data = streamed({"files": files, "records": records}[source])
    before = 0 if first_step < 100 else first_step - 2
    run = batches(first_step - before + 4, data, batch_size=batch_size, first_step=before)
    resumed = batches(4, data, batch_size=batch_size, first_step=first_step)
    for (x, y), (z, w) in zip(run[first_step - before :], resumed, strict=True):
        np.testing.assert_array_equal(x.view("int32"), z.view("int32"))
        np.testing.assert_array_equal(y, w)


def test_the_seed_alone_decides(data):
    tf.random.set_seed(1)
    first = batches(3, data)
    tf.random.set_seed(2)
    again, other = batches(3, data), batches(3, data, seed=4)
    for (x, y), (z, w) in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, z)
        np.testing.assert_array_equal(y, w)
    assert not np.array_equal(first[0][1], other[0][1])


def test_an_image_is_seen_otherwise_in_each_epoch(read):
    seen = {label: [] for label in range(COUNT)}
    for images, labels in batches(4, read, batch_size=COUNT):
        for image, label in zip(images, labels, strict=True):
            seen[label].append(image.tobytes())
    assert all(len(set(images)) == 4 for images in seen.values())


@pytest.mark.parametrize("split", ["test", "train"])
def test_evaluation_sees_the_centre_in_order(data, split):
    dataset = evaluation_batches(data, batch_size=4, split=split)
    pairs = [(x.numpy(), y.numpy()) for x, y in dataset]
    assert dataset.cardinality() == len(pairs) == 3
    images, labels = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    np.testing.assert_array_equal(labels, range(COUNT))
    for number in (0, 3, 6, 9):  # Without loss in the file.
        pixels = picture(number, 20 + 3 * (number % 4), 30 - 4 * (number % 3))
        height, width = pixels.shape[:2]
        side = round(min(height, width) * 224 / 256)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[top : top + side, left : left + side].astype("float32")
        expected = tf.image.resize(square, (16, 16)).numpy() / 255
        expected = (expected - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        np.testing.assert_allclose(images[number], expected, atol=1e-4)


def test_training_without_chance_is_the_image_resized(read):
    calm = InceptionAugmentation(smallest_area=1.0, widest_aspect=1.0, flip=False, lighting=0.0)
    calm = dataclasses.replace(read, augmentation=calm)
    (images, labels), *_ = batches(1, calm, batch_size=COUNT)
    for image, label in zip(images, labels, strict=True):
        if label % 3 == 0:
            pixels = picture(label, 20 + 3 * (label % 4), 30 - 4 * (label % 3))
            side = min(pixels.shape[:2])
            top, left = ((size - side) // 2 for size in pixels.shape[:2])
            square = pixels[top : top + side, left : left + side].astype("float32")
            expected = tf.image.resize(square, (16, 16)).numpy() / 255
            expected = (expected - read.mean) / read.std
            np.testing.assert_allclose(image, expected, atol=1e-4)


def test_light_is_added_to_colours_and_not_to_grey(read):
    lit = InceptionAugmentation(smallest_area=1.0, widest_aspect=1.0, flip=False, lighting=0.3)
    calm = dataclasses.replace(lit, lighting=0.0)
    for channels in (3, 1):
        pair = [
            dataclasses.replace(read, augmentation=each, channels=channels) for each in (lit, calm)
        ]
        ((bright, _),), ((plain, _),) = (batches(1, each, batch_size=COUNT) for each in pair)
        shifts = (bright - plain) * np.array(pair[0].std)
        # One for each channel of each image.
        np.testing.assert_allclose(np.ptp(shifts, axis=(1, 2)), 0, atol=1e-5)
        means = shifts.mean((1, 2))
        if channels == 3:
            assert (np.abs(means).max(1) > 1e-3).all() and len(
                np.unique(means.round(6), axis=0)
            ) > 9
        else:
            np.testing.assert_array_equal(means, 0)


def test_shapes_are_known_but_for_the_batch(read):
    for dataset in (
        training_batches(read, batch_size=5, seed=0),
        evaluation_batches(read, batch_size=5),
    ):
        images, labels = dataset.element_spec
        assert images == tf.TensorSpec((None, 16, 16, 3), tf.float32)
        assert labels == tf.TensorSpec((None,), tf.int64)
    training = training_batches(read, batch_size=5, seed=0)
    assert training.cardinality() == tf.data.INFINITE_CARDINALITY


def spoiled(files, folder, number, content=None, label=None):
    """Returns the images with one of them another, or missing, or of another label."""
    paths, labels = list(files.paths), files.labels.copy()
    paths[number] = str(folder / "spöiled.jpg")
    if content is not None:
        write(folder / "spöiled.jpg", content)
    if label is not None:
        labels[number] = label
    source = ImageFiles(paths, labels)
    return StreamedImages("made-up", source, source, classes=COUNT, size=16)


BROKEN = {
    "missing": (None, None, "No such file"),
    "empty": (b"", None, "the file is empty"),
    "cut": (encode(picture(1, 90, 90), "JPEG")[:-700], None, "truncated"),
    "text": (b"\xff\xd8\xffno image", None, "."),
    "label": (encode(picture(1, 9, 9)), COUNT, f"its label is {COUNT} and not from 0 to 10"),
    "negative": (encode(picture(1, 9, 9)), -1, "its label is -1"),
}


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("missing", 0),
        ("cut", COUNT - 1),
        ("label", 5),
        *(
            pytest.param(kind, number, marks=pytest.mark.slow)
            for kind, number in (("empty", 5), ("text", 0), ("negative", COUNT - 1))
        ),
    ],
)
def test_a_bad_image_is_named_while_it_is_used(files, tmp_path, kind, number):
    *spoil, reason = BROKEN[kind]
    data = spoiled(files, tmp_path, number, *spoil)
    expected = f"^Cannot use the image {tmp_path}/spöiled.jpg: .*{reason}"
    for dataset in (
        training_batches(data, batch_size=4, seed=0).take(6),
        training_batches(data, batch_size=4, seed=0, first_step=10**6).take(6),
        evaluation_batches(data, batch_size=4),
    ):
        with pytest.raises(OSError, match=expected) as caught, image_errors():
            for _ in dataset:
                pass
        assert "\n" not in str(caught.value)


def test_a_disk_that_is_gone_is_no_endless_wait(files, tmp_path):
    paths = [str(tmp_path / "gone" / os.path.basename(path)) for path in files.paths]
    source = ImageFiles(paths, files.labels)
    data = StreamedImages("made-up", source, source, classes=COUNT, size=16)
    for dataset in (
        training_batches(data, batch_size=4, seed=0),
        evaluation_batches(data, batch_size=4),
    ):
        with pytest.raises(OSError, match=f"^Cannot use the image {tmp_path}/gone/"):
            with image_errors():
                next(iter(dataset))


def test_a_broken_record_is_named_by_its_place(records, tmp_path):
    path = tmp_path / "broken.tfrecord"
    content = bytearray(open(records.files[0], "rb").read())
    place = int(records.offsets[3])
    content[place + 300] ^= 255
    path.write_bytes(content)
    source = dataclasses.replace(records, files=[str(path), records.files[1]])
    data = StreamedImages("made-up", source, source, classes=COUNT, size=16)
    with pytest.raises(OSError, match=f"^Cannot use the image at byte {place} of {path}: "):
        with image_errors():
            list(evaluation_batches(data, batch_size=4))


def test_a_cut_tfrecord_file_is_noticed(records, tmp_path):
    path = tmp_path / "cut.tfrecord"
    for cut in (1, 5):
        path.write_bytes(open(records.files[0], "rb").read()[:-cut])
        with pytest.raises(OSError, match=f"{path} ends within the record at byte"):
            index_records([str(path)], "image", "label")
    path.write_bytes(open(records.files[0], "rb").read()[: int(records.offsets[4]) + 3])
    with pytest.raises(OSError, match="ends within"):
        index_records([str(path)], "image", "label")


def test_fit_says_it_too(files, tmp_path):
    import keras

    data = spoiled(files, tmp_path, 4, b"no image")
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(COUNT)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    steps = {"steps_per_epoch": 6, "verbose": 0}
    with pytest.raises(OSError, match=f"^Cannot use the image {tmp_path}/spöiled.jpg"):
        with image_errors():
            model.fit(training_batches(data, batch_size=4, seed=0), shuffle=False, **steps)


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), image_errors():
        _ = 1 / 0


def test_a_training_subset_of_a_folder_is_read(tmp_path):
    make(tmp_path, ((12, 16), (20, 9)), train=6)
    data = load(f"folder:{tmp_path}", image_size=8, train_size=4)
    assert steps_per_epoch(data, 3) == 2
    assert sum(len(labels) for _, labels in batches(2, data, batch_size=3)) == 4
