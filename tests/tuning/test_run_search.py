import dataclasses

import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.data import datasets
from keras_selectscale.tuning import (
    Search,
    SearchFolder,
    load_for_search,
    load_for_winner,
    run_search,
)
from tests.tuning.folders import RECIPE

SEARCH = Search(
    dataclasses.replace(RECIPE, network="vgg-11", train_size=40, epochs=1, image_size=32),
    methods=("selectscale", "none"),
    trials=1,
    seed=3,
)


def pixels(images):
    return {image.tobytes() for image in images}


def test_the_test_images_are_no_part_of_what_a_search_sees():
    whole, seen = data.load("digits", image_size=32), load_for_search(SEARCH)
    winner = load_for_winner(SEARCH)
    assert seen.train_count + seen.validation_count == winner.train_count == 40
    assert pixels(seen.train_images) | pixels(seen.validation_images) == pixels(winner.train_images)
    assert not (pixels(seen.train_images) | pixels(seen.validation_images)) & pixels(
        whole.test_images
    )
    assert winner.test_count == whole.test_count


def test_a_search_is_the_same_whatever_the_test_images_are(tmp_path, monkeypatch):
    search = dataclasses.replace(
        SEARCH, recipe=dataclasses.replace(SEARCH.recipe, network="resnet-8", image_size=None)
    )
    source = datasets.DIGITS

    def spoilt(request):
        images = source.read(request)
        return dataclasses.replace(
            images,
            test_images=np.full_like(images.test_images[:7], 255),
            test_labels=np.zeros_like(images.test_labels[:7]),
        )

    found = []
    for name, loader in (("honest", source.read), ("spoilt", spoilt)):
        digits = dataclasses.replace(source, read=loader)
        monkeypatch.setattr(datasets, "SOURCES", (digits, *datasets.SOURCES[1:]))
        folder = SearchFolder(tmp_path / name)
        folder.open(search, {})
        run_search(search, folder, load_for_search(search))
        found.append([(t.status, t.values, t.errors) for t in folder.read_trials()])
    assert found[0] == found[1] and found[0][0][0] == "COMPLETED"


def test_too_few_images_are_refused():
    few = dataclasses.replace(SEARCH, recipe=dataclasses.replace(SEARCH.recipe, train_size=10))
    with pytest.raises(ValueError, match="two training images of each class"):
        load_for_search(few)
