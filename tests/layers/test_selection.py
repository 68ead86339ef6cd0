"""The selecting function S, without a layer."""

import math
from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_selectscale.layers import AveragePoolScore, scores, selection, selectout
from keras_selectscale.layers.backends import ranking
from tests.layers import drawing, reference, strategies

FEW_VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, 2.5, -1.0, math.inf, -math.inf])


@strategies.examples(200)
@given(percent=st.integers(1, 100), channels=st.integers(1, 2048))
def test_counts_round_half_up(percent, channels):
    rate = percent / 100
    assert selection.candidate_count(rate, channels) == reference.candidate_count(rate, channels)
    assert selectout.dropped_count(rate, channels) == reference.dropped_count(rate, channels)


@pytest.mark.parametrize("channels", [1, 5, 10, 50, 64, 2048])
def test_counts_of_a_rate_in_float32_are_those_of_a_float(channels):
    for percent in range(1, 101):
        rate = percent / 100
        found = selectout.dropped_count(ops.convert_to_tensor(rate, "float32"), channels)
        assert int(found) == reference.dropped_count(rate, channels), (rate, channels)


@strategies.examples(60)
@given(data=st.data(), channels=st.integers(1, 12))
def test_ranks_are_a_permutation_with_ties_by_index(data, channels):
    rows = data.draw(
        st.lists(st.lists(FEW_VALUES, min_size=channels, max_size=channels), min_size=1, max_size=3)
    )
    values = np.array(rows, "float32")
    ranks = drawing.as_array(ranking.ranks(ops.convert_to_tensor(values)))
    for count in range(channels + 1):
        np.testing.assert_array_equal(ranks < count, reference.top(values, count))


def test_not_a_number_ranks_as_infinity():
    values = ops.convert_to_tensor([[1.0, math.nan, math.inf, math.nan, 2.0]])
    np.testing.assert_array_equal(drawing.as_array(ranking.ranks(values)), [[4, 0, 1, 2, 3]])


@pytest.mark.skipif(drawing.BACKEND == "torch", reason="nothing is compiled on PyTorch")
def test_ranks_are_the_same_when_compiled():
    """XLA sorts -0 before 0, and has no stable order of its own."""
    rng = np.random.default_rng(0)
    values = rng.choice([0.0, -0.0, 1.0, 2.0, math.nan, math.inf], (20, 300)).astype("float32")
    if drawing.BACKEND == "tensorflow":
        import tensorflow as tf

        ranks = tf.function(ranking.ranks, jit_compile=True)(values)
    else:
        import jax

        ranks = jax.jit(ranking.ranks)(values)
    expected = reference.top(np.where(np.isnan(values), np.inf, values), 150)
    np.testing.assert_array_equal(drawing.as_array(ranks) < 150, expected)


ANY_VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-40, -1e-40]),
    st.floats(width=32),
)


def rows_of(values):
    # Few shapes, because JAX compiles for each.
    sizes = st.tuples(st.sampled_from([1, 3]), st.sampled_from([1, 2, 7, 20, 40]))
    return sizes.flatmap(
        lambda size: st.lists(
            st.lists(values, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]
        )
    )


def expected_top(values, count):
    """The `count` highest by Python's own order, with NaN as infinity and denormals as 0."""
    clean = np.where(np.isnan(values), np.inf, values)
    return reference.top(np.where(np.abs(clean) < 2.0**-126, 0.0, clean), count)


def accelerated_mask(values, count):
    """What a backend does where it is not on a CPU."""
    if drawing.BACKEND == "jax":
        from keras_selectscale.layers.backends import jax as jax_calls

        with mock.patch.object(jax_calls, "_on_one_cpu", lambda: False):
            return jax_calls.top_k_mask(values, count)
    if drawing.BACKEND == "torch":
        from keras_selectscale.layers.backends import torch as torch_calls

        with mock.patch.object(torch_calls, "_is_readable", lambda values: False):
            return torch_calls.top_k_mask(values, count)
    return ranking.top_k_mask_by_rank(values, count)  # For TensorFlow's see below.


def order_of_jax(keys, count):
    if drawing.BACKEND != "jax":
        return ranking.by_pairs(keys, count)
    from keras_selectscale.layers.backends import jax as jax_calls

    return jax_calls.by_order(keys, count)


@strategies.examples(60)
@given(rows=rows_of(ANY_VALUES), share=st.floats(0, 1))
def test_every_way_to_the_top_takes_the_same_maps(rows, share):
    values = np.array(rows, "float32")
    count = round(share * values.shape[1])
    expected = expected_top(values, count)
    keys = ranking.sort_keys(ops.convert_to_tensor(values.view("int32")))
    tensor = ops.convert_to_tensor(values)
    for way, found in {
        "ranking": ranking.top_k_mask_by_rank(tensor, count),
        "by pairs": ranking.by_pairs(keys, count),
        "by bits": ranking.by_bits(keys, count),
        "of JAX for many channels": order_of_jax(keys, count),
        "of the backend": selection.top_k_mask(tensor, count),
        "of its accelerators": accelerated_mask(tensor, count),
    }.items():
        np.testing.assert_array_equal(drawing.as_array(found) == 1, expected, err_msg=way)


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="the way of TensorFlow's graphs")
def test_a_graph_need_not_know_how_many_channels_there_are():
    """Compiled by XLA with unknown sizes, the search by bits takes any."""
    import tensorflow as tf

    @tf.function(jit_compile=True, input_signature=[tf.TensorSpec((None, None))])
    def select(values):
        return ranking.top_k_mask_by_counting(ranking.sort_keys(tf.bitcast(values, tf.int32)), 3)

    rng = np.random.default_rng(0)
    for channels in (5, 12):
        values = rng.choice([0.0, 1.0, 2.0], (4, channels)).astype("float32")
        np.testing.assert_array_equal(select(values), expected_top(values, 3))


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="the way of TensorFlow's graphs")
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("on_cpus", [True, False], ids=["CPU", "accelerator"])
def test_a_graph_takes_the_maps_of_the_ranks(on_cpus, jit_compile, monkeypatch):
    import tensorflow as tf

    from keras_selectscale.layers.backends import tensorflow as tensorflow_calls

    monkeypatch.setattr(tensorflow_calls, "_on_cpus", lambda: on_cpus)

    @tf.function(jit_compile=jit_compile)
    def select(values, count):
        return selection.top_k_mask(values, count)

    rng = np.random.default_rng(0)
    choices = [0.0, -0.0, 1.0, 2.0, -3.0, math.nan, math.inf, -math.inf, 1e-40]
    tied = rng.choice(choices, (20, 300)).astype("float32")
    apart = rng.standard_normal((20, 300)).astype("float32")
    for values in (tied, apart):
        for count in (0, 1, 150, 299, 300):
            found = drawing.as_array(select(values, count)) == 1
            np.testing.assert_array_equal(found, expected_top(values, count))


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="the way of TensorFlow's graphs")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("known", [True, False], ids=["known size", "any size"])
def test_a_graph_takes_the_candidates_of_every_precision(dtype, known, data_format):
    import tensorflow as tf

    shape = (3, 20, 4, 5) if data_format == "channels_first" else (3, 4, 5, 20)
    axis = 1 if data_format == "channels_first" else 3
    sizes = shape[1:] if known else [20 if i == axis else None for i in (1, 2, 3)]

    @tf.function(input_signature=[tf.TensorSpec((None, *sizes), dtype)])
    def select(inputs):
        mask = selection.candidate_mask(inputs, axis, 0.3, selection.max_score)
        assert mask.shape[1] == 20
        return mask

    inputs = drawing.maps(shape, data_format, dtype=dtype)
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    expected = reference.candidates(maps, 0.3)
    np.testing.assert_array_equal(drawing.as_array(select(inputs)) == 1, expected)


@pytest.mark.skipif(drawing.BACKEND != "jax", reason="the choice of JAX")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize(("channels", "sorts"), [(6, False), (512, False), (513, True)])
def test_an_accelerator_takes_the_candidates_of_the_ranks(channels, sorts, dtype, monkeypatch):
    import jax

    from keras_selectscale.layers.backends import jax as jax_calls

    monkeypatch.setattr(jax_calls, "_on_one_cpu", lambda: False)
    choices = [0.0, -0.0, 1.0, 2.0, -3.0, math.nan, math.inf, -math.inf, 6e-8, 1e-40]
    odds = np.random.default_rng(0).choice(choices, (5, 2, 3, channels), p=[0.3, 0.3, *[0.05] * 8])
    inputs = ops.cast(ops.convert_to_tensor(odds.astype("float32")), dtype)
    # A new function, so that no earlier trace is taken.
    select = jax.jit(lambda x: selection.candidate_mask(x, 3, 0.3, selection.max_score))
    scores = np.abs(drawing.as_array(ops.cast(inputs, "float32"))).max((1, 2))
    expected = expected_top(scores, selection.candidate_count(0.3, channels))
    np.testing.assert_array_equal(drawing.as_array(select(inputs)) == 1, expected)
    assert ("stablehlo.sort" in select.lower(inputs).as_text()) == sorts


@pytest.mark.skipif(drawing.BACKEND != "torch", reason="the norm of PyTorch")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("channel_axis", [1, 3])
def test_a_norm_is_the_score_of_an_accelerator(channel_axis, dtype, monkeypatch):
    from keras_selectscale.layers.backends import torch as torch_calls

    choices = [0.0, -0.0, 1.0, 2.0, -3.0, math.nan, math.inf, -math.inf, 6e-8, 1e-40]
    odds = np.random.default_rng(0).choice(choices, (30, 5, 2, 6), p=[0.2, 0.2, *[0.075] * 8])
    inputs = ops.cast(ops.convert_to_tensor(odds.astype("float32")), dtype)
    expected = drawing.as_array(torch_calls.max_score_mask(inputs, channel_axis, 2))
    plain = drawing.as_array(
        ranking.top_k_mask_by_rank(
            ops.cast(selection.max_score(inputs, channel_axis), "float32"), 2
        )
    )
    monkeypatch.setattr(torch_calls, "_has_fast_norm", lambda inputs: True)
    found = drawing.as_array(torch_calls.max_score_mask(inputs, channel_axis, 2))
    np.testing.assert_array_equal(expected, plain)
    np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("odd", [0.0, -0.0, -9.0, -math.inf, math.nan])
@pytest.mark.parametrize("channels", [6, 130, 300])
def test_after_a_relu_one_odd_number_counts_wherever_it_is(channels, odd):
    """If no value is below 0, candidates may be found in another way with the same result."""
    maps = np.random.default_rng(0).integers(0, 9, (8, 3, 4, channels)).astype("float32")
    maps[5, 2, 3, channels - 2] = odd
    found = selection.candidate_mask(ops.convert_to_tensor(maps), 3, 0.2, selection.max_score)
    expected = expected_top(reference.max_score(maps), selection.candidate_count(0.2, channels))
    assert expected[5, channels - 2] == (odd != 0)
    found = drawing.as_array(found) == 1
    if drawing.BACKEND == "jax" and math.isnan(odd):  # XLA passes over it where maps are many.
        found, expected = np.delete(found, 5, axis=0), np.delete(expected, 5, axis=0)
    np.testing.assert_array_equal(found, expected)


def test_a_batch_of_none_has_no_candidates(data_format):
    shape = (0, 6, 4, 5) if data_format == "channels_first" else (0, 4, 5, 6)
    axis = 1 if data_format == "channels_first" else 3
    found = selection.candidate_mask(ops.zeros(shape), axis, 0.5, selection.max_score)
    assert tuple(found.shape) == (0, 6)


@pytest.mark.parametrize("count", [0, 1, 3, 7, 9])
def test_exactly_so_many_are_picked_from_the_marked(count):
    mask = np.random.default_rng(0).random((50, 12)) < 0.5
    seed = keras.random.SeedGenerator(1)
    picked = drawing.as_array(selectout.random_pick(ops.convert_to_tensor(mask), count, seed)) == 1
    assert not np.any(picked & ~mask)
    np.testing.assert_array_equal(picked.sum(axis=1), np.minimum(mask.sum(axis=1), count))


def test_a_count_may_be_a_tensor():
    mask = ops.ones((5, 6), dtype="bool")
    seed = keras.random.SeedGenerator(1)
    picked = selectout.random_pick(mask, ops.convert_to_tensor(4, "int32"), seed)
    np.testing.assert_array_equal(drawing.as_array(picked).sum(axis=1), 4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("top_rate", [0.05, 0.3, 1.0])
def test_candidates_of_every_precision(dtype, top_rate, data_format):
    shape = (3, 20, 4, 5) if data_format == "channels_first" else (3, 4, 5, 20)
    inputs = drawing.maps(shape, data_format, dtype=dtype)
    axis = 1 if data_format == "channels_first" else 3
    found = selection.candidate_mask(inputs, axis, top_rate, selection.max_score)
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    np.testing.assert_array_equal(
        drawing.as_array(found) == 1, reference.candidates(maps, top_rate)
    )


def test_scores_by_name():
    assert selection.get_score("max") is selection.max_score
    assert selection.get_score("global_average") is scores.global_average_score
    assert isinstance(selection.get_score("average_pool"), AveragePoolScore)
    assert selection.get_score(len) is len


@pytest.mark.parametrize("score", [None, "maximum", "", 3, ["max"], AveragePoolScore, int])
def test_an_unknown_score_is_an_error(score):
    with pytest.raises(
        ValueError, match=r"`score` must be one of \['average_pool', .*Received: sc"
    ):
        selection.get_score(score)


@pytest.mark.parametrize(
    "score",
    [
        lambda inputs, axis: ops.max(inputs, axis=(1, 2), keepdims=True),
        lambda inputs, axis: ops.max(inputs, axis=(1, 2))[:, :-1],
        lambda inputs, axis: ops.max(inputs, axis=(0, 1, 2)),
        lambda inputs, axis: ops.max(inputs, axis=(0, 1, 2))[None],
        lambda inputs, axis: 1.0,
        lambda inputs, axis: None,
    ],
)
def test_a_score_of_another_shape_is_an_error(score):
    with pytest.raises(ValueError, match=r"`score` must be .*here \(2, 6\)\. Received: score="):
        selection.candidate_mask(ops.ones((2, 3, 4, 6)), 3, 0.5, score)
