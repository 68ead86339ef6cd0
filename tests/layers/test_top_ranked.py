"""What `top_rate` and `score` do in every selecting layer."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale import Selective, Selectout, SelectScale, SpatialScale
from keras_selectscale.cli import train
from keras_selectscale.layers import AveragePoolScore, selection
from tests.layers import drawing, reference

MAPS = np.random.default_rng(0).normal(size=(6, 7, 5, 12)).astype("float32")


def last_first(inputs, channel_axis):
    """A score by the channel's number alone."""
    batch, channels = ops.shape(inputs)[0], inputs.shape[channel_axis]
    return ops.broadcast_to(ops.arange(channels), (batch, channels))


def selected(layer, inputs):
    """Returns the maps whose factor is not 1, read from the gradient."""
    layer.build(inputs.shape)
    _, gradient = drawing.outputs_and_gradient(
        lambda x: layer(x, training=True), ops.convert_to_tensor(inputs)
    )
    rows = reference.channels_last(drawing.as_array(gradient), layer.data_format)
    return rows[:, 0, 0] != 1


LAYERS = {
    "SelectScale": lambda **more: SelectScale(top_rate=0.25, retaining_rate=0.0, **more),
    "Selective": lambda data_format=None, **more: Selective(
        SpatialScale(retaining_rate=0.0, data_format=data_format), top_rate=0.25, **more
    ),
}


@pytest.fixture(params=LAYERS)
def make(request):
    return LAYERS[request.param]


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("max", reference.max_score),
        ("global_average", reference.global_average_score),
        ("average_pool", lambda maps: reference.average_pool_score(maps, 3, 1)),
        (AveragePoolScore(2, 2), lambda maps: reference.average_pool_score(maps, 2, 2)),
        (last_first, lambda maps: np.tile(np.arange(12), (6, 1))),
        (lambda x, axis: -ops.max(ops.abs(x), axis=(1, 2)), lambda x: -reference.max_score(x)),
        ("lowest", lambda maps: -reference.max_score(maps)),
    ],
)
def test_the_score_ranks(make, score, expected):
    np.testing.assert_array_equal(
        selected(make(score=score), MAPS), reference.top(expected(MAPS), 3)
    )


@pytest.mark.parametrize("score", ["max", "average_pool", "lowest", last_first])
def test_the_layout_changes_nothing(make, score):
    first = np.ascontiguousarray(np.moveaxis(MAPS, -1, 1))
    np.testing.assert_array_equal(
        selected(make(score=score, data_format="channels_first"), first),
        selected(make(score=score, data_format="channels_last"), MAPS),
    )


def test_the_scores_select_differently():
    """Else the tests above would pass for a layer that does not look at `score`."""
    choices = [selected(LAYERS["SelectScale"](score=s), MAPS) for s in ("max", "global_average")]
    assert np.any(choices[0] != choices[1])


@pytest.mark.parametrize("score", [None, "mean", 1, AveragePoolScore])
@pytest.mark.parametrize("layer", [SelectScale, Selectout, Selective])
def test_an_unknown_score_is_an_error_when_the_layer_is_made(layer, score):
    with pytest.raises(ValueError, match="`score` must be one of .*Received: score="):
        if layer is Selective:
            layer(SpatialScale(retaining_rate=0.5), top_rate=0.5, score=score)
        else:
            layer(top_rate=0.5, retaining_rate=0.5, score=score)


def test_a_score_of_another_shape_is_an_error_at_the_call(make):
    layer = make(score=lambda x, axis: ops.max(x, axis=(0, 1, 2)))
    with pytest.raises(ValueError, match=r"`score` must be a function .*\(6, 12\).*\(12,\)"):
        layer(MAPS, training=True)


def test_a_score_that_is_not_registered_is_saved_by_name_and_asks_for_it_on_loading():
    def unknown(inputs, channel_axis):
        return ops.max(inputs, axis=(1, 2))

    config = LAYERS["SelectScale"](score=unknown).get_config()
    with keras.saving.custom_object_scope({"unknown": unknown}):
        assert SelectScale.from_config(config).score is unknown


@pytest.mark.parametrize("top_rate", [0.01, 0.25, 1.0])
def test_all_of_the_scales_maps_are_selected(top_rate):
    layer = SelectScale(top_rate=top_rate, retaining_rate=0.0)
    count = reference.candidate_count(top_rate, 12)
    np.testing.assert_array_equal(selected(layer, MAPS).sum(axis=1), count)


def test_the_random_control_selects_as_many_maps_anew_for_each_sample(make):
    layer = make(score="random")
    layer.build((None, 7, 5, 12))
    many = np.broadcast_to(MAPS[:1], (2000, 7, 5, 12))
    masks = drawing.as_array(layer.candidates(ops.convert_to_tensor(many)))
    np.testing.assert_array_equal(masks.sum(axis=1), 3)
    # Each map is selected 500 times, with a standard deviation of 19.
    assert np.abs(masks.sum(axis=0) - 500).max() < 80
    assert len(np.unique(masks, axis=0)) == 220  # All choices of 3 of 12.


def test_the_random_control_depends_on_the_seed_alone():
    masks = [
        drawing.as_array(
            SelectScale(top_rate=0.25, retaining_rate=0.0, score="random", seed=seed).candidates(
                ops.convert_to_tensor(maps)
            )
        )
        for seed, maps in ((7, MAPS), (7, MAPS * np.nan), (8, MAPS))
    ]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert np.any(masks[0] != masks[2])


def test_the_random_control_continues_with_the_saved_state(tmp_path):
    model = keras.Sequential([keras.Input((7, 5, 12)), LAYERS["SelectScale"](score="random")])
    model(MAPS, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    outputs = [drawing.as_array(each(MAPS, training=True)) for each in (model, again)]
    np.testing.assert_array_equal(*outputs)


def test_the_random_control_needs_a_random_state():
    class Stateless(keras.layers.Layer):
        def call(self, inputs, training=False):
            return inputs

    with pytest.raises(ValueError, match="`score` must be .* no `seed_generator`.*'random'"):
        Selective(Stateless(), top_rate=0.5, score="random")


def test_the_help_names_every_score():
    option = next(each for each in train.command.params if each.name == "score")
    assert all(name in option.help for name in selection.SCORES)
