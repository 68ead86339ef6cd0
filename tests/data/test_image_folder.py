import os
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_selectscale.data import (
    Augmentation,
    ImageData,
    InceptionAugmentation,
    StreamedImages,
    arrays,
    evaluation_batches,
    image_folder,
    load,
    training_subset,
    validation_split,
)
from tests.data.folders import encode, make, picture, write

SIZES = ((12, 16), (20, 9), (33, 40))


def test_images_of_one_size_are_in_memory(tmp_path):
    data = load(f"folder:{make(tmp_path)}")
    assert isinstance(data, ImageData)
    assert (data.name, data.classes) == (f"folder:{tmp_path}", 2)
    assert data.class_names == tuple(sorted(each.name for each in (tmp_path / "train").iterdir()))
    assert (data.train_count, data.test_count, data.input_shape) == (10, 6, (12, 16, 3))
    expected = [picture(number, 12, 16) for number in range(16)]
    np.testing.assert_array_equal(np.concatenate([data.train_images, data.test_images]), expected)
    np.testing.assert_array_equal(data.train_labels, [0] * 5 + [1] * 5)
    np.testing.assert_array_equal(data.test_labels, [0] * 3 + [1] * 3)
    assert data.augmentation == Augmentation(padding=1, flip=True)
    np.testing.assert_allclose(data.mean, data.train_images.mean((0, 1, 2)) / 255)


def test_images_of_varying_size_are_streamed(tmp_path):
    data = load(f"folder:{make(tmp_path, SIZES)}")
    assert isinstance(data, StreamedImages)
    assert (data.train_count, data.test_count, data.input_shape) == (10, 6, (224, 224, 3))
    np.testing.assert_array_equal(data.train_labels, [0] * 5 + [1] * 5)
    np.testing.assert_array_equal(data.test_labels, [0] * 3 + [1] * 3)
    assert data.augmentation == InceptionAugmentation()
    assert load(f"folder:{tmp_path}", image_size=32).input_shape == (32, 32, 3)
    assert len(data.class_names) == 2
    held = validation_split(data, share=0.4, seed=0)
    assert (
        held.class_names
        == data.class_names
        == training_subset(held, train_size=2, seed=0).class_names
    )


def test_too_many_of_one_size_are_streamed_at_their_own(tmp_path, monkeypatch):
    make(tmp_path)
    monkeypatch.setattr(arrays, "LARGEST_IN_MEMORY", 16 * 12 * 16 * 3)
    assert isinstance(load(f"folder:{tmp_path}"), ImageData)
    streamed = load(f"folder:{tmp_path}", image_size=17)
    assert isinstance(streamed, StreamedImages) and streamed.input_shape == (17, 17, 3)
    monkeypatch.setattr(arrays, "LARGEST_IN_MEMORY", 16 * 12 * 16 * 3 - 1)
    assert load(f"folder:{tmp_path}").input_shape == (12, 12, 3)


def test_images_in_memory_are_brought_to_a_size(tmp_path):
    data = load(f"folder:{make(tmp_path)}", image_size=24)
    assert data.input_shape == (24, 24, 3) and data.augmentation.padding == 3
    centre = Image.fromarray(picture(0, 12, 16)[:, 2:14]).resize((24, 24), Image.BILINEAR)
    np.testing.assert_allclose(data.train_images[0], np.asarray(centre), atol=2)
    np.testing.assert_allclose(data.mean, data.train_images.mean((0, 1, 2)) / 255)


@pytest.mark.parametrize("part", ["val", "validation"])
def test_other_names_of_the_test_part(tmp_path, part):
    (make(tmp_path) / "test").rename(tmp_path / part)
    assert load(f"folder:{tmp_path}").test_count == 6


def test_the_subset_is_stratified(tmp_path):
    make(tmp_path / "one"), make(tmp_path / "varying", SIZES)
    whole = load(f"folder:{tmp_path / 'varying'}")
    for name in ("one", "varying"):
        subset = load(f"folder:{tmp_path / name}", train_size=4, seed=1)
        np.testing.assert_array_equal(subset.train_labels, [0, 0, 1, 1])
        assert (subset.train_count, subset.test_count) == (4, 6)
    assert set(subset.train.paths) < set(whole.train.paths)


def test_flip_is_chosen(tmp_path):
    make(tmp_path / "one"), make(tmp_path / "varying", SIZES)
    for name in ("one", "varying"):
        assert not load(f"folder:{tmp_path / name}", flip=False).augmentation.flip
    with pytest.raises(TypeError, match="`flip` must be True, False or None.*1"):
        load(f"folder:{tmp_path}", flip=1)


def test_home_and_names_beyond_ascii(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = make(tmp_path / "föld er", SIZES)
    for part in ("train", "test"):
        (folder / part / "a").rename(folder / part / "äß")
        shutil.copy(folder / part / "b" / "000.png", folder / part / "äß" / "日本 'x'.png")
    data = load("folder:~/föld er", image_size=16)
    assert data.train_count == 11 and "日本" in "".join(data.train.paths)
    np.testing.assert_array_equal(data.train_labels, [0] * 5 + [1] * 6)  # "b" before "ä".
    batches = evaluation_batches(data, batch_size=4, split="train")
    assert sum(len(labels) for _, labels in batches) == 11


def test_hidden_and_other_files_are_passed_over(tmp_path):
    make(tmp_path)
    for place in ("train", "train/a", "test/b"):
        write(tmp_path / place / "notes.txt", b"x")
        write(tmp_path / place / ".hidden.png", b"x")
        write(tmp_path / place / ".cache" / "000.png", b"x")
    write(tmp_path / "train" / "a" / "folder.png" / "x", b"x")
    shutil.copy(tmp_path / "train/a/000.png", tmp_path / "train/a/BIG.PNG")
    assert load(f"folder:{tmp_path}").train_count == 11


def test_all_kinds_become_colour(tmp_path):
    """Grey, palette and transparent images beside a colour one, in all formats."""
    make(tmp_path)
    colour = Image.fromarray(picture(50, 12, 16))
    alpha = Image.fromarray(picture(51, 12, 16, 4), "RGBA")
    kinds = {
        "grey.png": colour.convert("L"),
        "palette.png": colour.convert("P"),
        "rgba.png": alpha,
        "la.png": alpha.convert("LA"),
        "bits.png": colour.convert("1"),
        "palette.bmp": colour.convert("P"),
        "grey.bmp": colour.convert("L"),
        "rgb.bmp": colour,
        "palette.gif": colour.convert("P"),
    }
    for name, image in kinds.items():
        image.save(tmp_path / "test" / "b" / name)
    data = load(f"folder:{tmp_path}")
    assert data.input_shape == (12, 16, 3)
    paths = sorted(os.listdir(tmp_path / "test" / "b"))
    for name, image in kinds.items():
        pixels = data.test_images[3 + paths.index(name)]
        np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")), err_msg=name)


@pytest.mark.parametrize("kinds", [("JPEG",), ("PNG", "JPEG"), ("BMP", "PNG", "GIF", "JPEG")])
def test_decoding_several_at_once_changes_nothing(tmp_path, monkeypatch, kinds):
    make(tmp_path)
    for number, kind in enumerate(kinds * 3):
        content = encode(picture(number, 12, 16), kind)
        write(tmp_path / "train" / "b" / f"{number}.{kind.lower()}", content)
    one_by_one = load(f"folder:{tmp_path}")
    monkeypatch.setattr(image_folder, "MANY", 1)
    found = load(f"folder:{tmp_path}")
    np.testing.assert_array_equal(found.train_images, one_by_one.train_images)
    np.testing.assert_array_equal(found.test_images, one_by_one.test_images)
    path = write(tmp_path / "train" / "b" / "1x.png", BROKEN["cut"][0])
    with pytest.raises(OSError, match=f"^Cannot use the image {path}: "):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize("waited", [0, float("inf")])
def test_headers_are_read_in_order_with_and_without_threads(tmp_path, monkeypatch, waited):
    monkeypatch.setattr(image_folder, "WAITED", waited)
    monkeypatch.setattr(image_folder, "HEADERS", 2)
    assert load(f"folder:{make(tmp_path, SIZES)}", image_size=16).train_count == 10
    for name in ("z1.png", "z0.png"):
        path = write(tmp_path / "train" / "a" / name, BROKEN["text"][0])
    with pytest.raises(OSError, match=f"^Cannot use the image {path}: "):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize("sizes", [((12, 16),), SIZES])
def test_all_grey_have_one_channel(tmp_path, sizes):
    make(tmp_path, sizes, channels=1)
    image = Image.fromarray(picture(3, 12, 16, 1)[..., 0])
    image.convert("LA").save(tmp_path / "test/a/la.png")
    image.save(tmp_path / "test/a/l.bmp")
    data = load(f"folder:{tmp_path}")
    assert data.input_shape[-1] == 1 and len(data.mean) == len(data.std) == 1
    assert not data.augmentation.flip
    if len(sizes) == 1:
        np.testing.assert_array_equal(data.test_images[3:5, ..., 0], [np.asarray(image)] * 2)


BROKEN = {
    "empty": (b"", "the file is empty"),
    "text": (b"no image at all", "the file is not a BMP, GIF, JPEG or PNG image"),
    "cut": (encode(picture(1, 12, 16))[:200], "."),
    "cut-jpeg": (encode(picture(1, 120, 160), "JPEG")[:-900], "."),
}


@pytest.mark.parametrize("sizes", [((12, 16),), SIZES])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_is_named(tmp_path, kind, sizes):
    content, reason = BROKEN[kind]
    path = write(make(tmp_path, sizes) / "test" / "b" / "bröken 1.png", content)
    with pytest.raises(OSError, match=f"^Cannot use the image {path}: .*{reason}") as caught:
        load(f"folder:{tmp_path}")
    assert "\n" not in str(caught.value) and "tensorflow" not in str(caught.value).lower()


def test_headers_are_read_of_all_and_more_of_few(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "DECODED_UP_FRONT", 5)
    make(tmp_path, SIZES)
    write(tmp_path / "test" / "b" / "x.png", BROKEN["cut"][0])
    assert load(f"folder:{tmp_path}").test_count == 7
    write(tmp_path / "test" / "b" / "x.png", BROKEN["text"][0])
    with pytest.raises(OSError, match="x.png"):
        load(f"folder:{tmp_path}")


def unwanted(folder, change):
    for part in ("train", "test"):
        change(folder / part)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda f: shutil.rmtree(f), FileNotFoundError, "there is no folder {f} of images$"),
        (lambda f: shutil.rmtree(f / "train"), FileNotFoundError, "{f} has no folder train of"),
        (lambda f: shutil.rmtree(f / "test"), FileNotFoundError, "no folder test or val or vali"),
        (
            lambda f: shutil.rmtree(f / "test" / "a"),
            ValueError,
            "must have the same classes in both parts: {f}/test has no folder a, which is in ",
        ),
        (
            lambda f: shutil.rmtree(f / "train" / "b"),
            ValueError,
            "{f}/train has no folder b, which is in {f}/test",
        ),
        (
            lambda f: unwanted(f, lambda part: shutil.rmtree(part / "b")),
            ValueError,
            "must have at least 2 classes: {f}/train has only the class a",
        ),
        (
            lambda f: unwanted(f, lambda part: (shutil.rmtree(part), part.mkdir())),
            ValueError,
            "{f}/train has no folder of a class",
        ),
        (
            lambda f: [path.unlink() for path in (f / "test" / "a").iterdir()],
            ValueError,
            "must have images of every class: {f}/test/a has no file that ends in .bmp",
        ),
    ],
)
def test_a_folder_of_another_form_is_refused(tmp_path, change, error, named):
    change(make(tmp_path / "images"))
    with pytest.raises(error, match=named.format(f=tmp_path / "images")) as caught:
        load(f"folder:{tmp_path / 'images'}")
    assert "\n" not in str(caught.value)


def test_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    make(tmp_path, train=9)
    expected = load(f"folder:{tmp_path}").train_images
    listed = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: reversed(list(listed(path))))
    files = image_folder._files(tmp_path / "train", ["a", "b"], "x")
    assert files.paths == sorted(files.paths)
    assert len(expected) == len(files) == 18


def test_images_of_one_colour_are_refused_with_the_folder(tmp_path):
    make(tmp_path)
    for path in tmp_path.rglob("train/*/*.png"):
        path.write_bytes(encode(np.full((12, 16, 3), 77, "uint8")))
    with pytest.raises(ValueError, match=f"folder:{tmp_path} must .* channel 0 is 77 in every"):
        load(f"folder:{tmp_path}")
