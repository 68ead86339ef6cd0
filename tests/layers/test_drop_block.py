import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale import linear_curriculum
from keras_selectscale.layers import DropBlock, Selective, drop_block
from tests.layers import statistics

SHAPES = [(3, 11, 4), (3, 6, 11, 4), (2, 5, 7, 4, 3)]


def gamma(sizes, block, rate):
    """Section 3 of the paper, for any number of axes."""
    blocks = [min(block, size) for size in sizes]
    corners = [size - edge + 1 for size, edge in zip(sizes, blocks, strict=True)]
    return (1 - rate) * math.prod(sizes) / (math.prod(blocks) * math.prod(corners))


def reference(numbers, block, rate):
    """The normalized mask for given uniform numbers of shape (batch, ..., channels)."""
    sizes = numbers.shape[1:-1]
    blocks = [min(block, size) for size in sizes]
    kept = np.ones(numbers.shape)
    corners = [range(size - edge + 1) for size, edge in zip(sizes, blocks, strict=True)]
    for sample, channel in np.ndindex(numbers.shape[0], numbers.shape[-1]):
        for corner in itertools.product(*corners):
            if numbers[(sample, *corner, channel)] < gamma(sizes, block, rate):
                box = [slice(a, a + edge) for a, edge in zip(corner, blocks, strict=True)]
                kept[(sample, *box, channel)] = 0
    for sample in kept:
        sample *= sample.size / max(sample.sum(), 1)
    return kept


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("block", [1, 2, 3, 100])
@pytest.mark.parametrize("shape", SHAPES, ids=len)
def test_the_mask_is_that_of_the_paper(shape, block, shared, data_format, monkeypatch):
    generator = np.random.default_rng(1)
    drawn = (*shape[:-1], 1) if shared else shape
    numbers = generator.uniform(size=drawn).astype("float32")
    # At least one block is dropped, and one sample is not touched.
    numbers[0].flat[0], numbers[1] = 0.0, 1.0
    monkeypatch.setattr(
        drop_block.factors, "uniform", lambda shape, *_: ops.reshape(ops.array(numbers), shape)
    )
    x = generator.normal(size=shape).astype("float32")
    layer = DropBlock(block_size=block, retaining_rate=0.8, shared=shared, data_format=data_format)
    given = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    y = ops.convert_to_numpy(layer(given, training=True))
    y = np.moveaxis(y, 1, -1) if data_format == "channels_first" else y
    expected = x * reference(numbers, block, 0.8)
    assert 0 < (expected == 0).mean() < 1
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(8, 6, 11, 16), (40, 9, 16)], ids=len)
def test_each_unit_is_dropped_with_the_probability_of_the_corners_that_reach_it(shape):
    layer = DropBlock(block_size=3, retaining_rate=0.9, seed=3)
    x = np.ones(shape, "float32")
    kept = np.stack([ops.convert_to_numpy(layer(x, training=True)) != 0 for _ in range(20)])
    rate = gamma(shape[1:-1], 3, 0.9)
    for place in np.ndindex(*shape[1:-1]):
        reaching = math.prod(
            sum(corner <= a < corner + 3 for corner in range(size - 2))
            for a, size in zip(place, shape[1:-1], strict=True)
        )
        marks = kept[(slice(None), slice(None), *place)]
        statistics.check_share(marks, (1 - rate) ** reaching)


def test_a_sample_does_not_depend_on_the_others():
    layer = DropBlock(block_size=2, retaining_rate=0.7, seed=5)
    y = ops.convert_to_numpy(layer(np.ones((6, 8, 5, 3), "float32"), training=True))
    values = [np.unique(sample[sample != 0]) for sample in y]
    assert all(len(value) == 1 for value in values)
    assert len({float(value[0]) for value in values}) > 1
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), 1, rtol=1e-5)


def test_unknown_sizes_draw_as_known_ones_do():
    inputs = keras.Input((None, None, 3))
    layer = DropBlock(block_size=5, retaining_rate=0.7, seed=5)
    model = keras.Model(inputs, layer(inputs))
    x = np.ones((2, 4, 9, 3), "float32")
    expected = DropBlock(block_size=5, retaining_rate=0.7, seed=5)(x, training=True)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model(x, training=True)), ops.convert_to_numpy(expected)
    )


def test_half_precision_draws_in_float32():
    x = np.ones((2, 16, 9, 3), "float32")
    drop = {"block_size": 3, "retaining_rate": 0.8, "seed": 5}
    full = ops.convert_to_numpy(DropBlock(**drop)(x, training=True))
    half = DropBlock(**drop, dtype="mixed_bfloat16")(x, training=True)
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(half, "float32")), full, rtol=2**-8)


def test_a_scheduled_rate_starts_as_the_identity():
    layer = DropBlock(retaining_rate=linear_curriculum(0.5, 2), block_size=2, seed=1)
    x = np.ones((2, 6, 9, 8), "float32")
    shares = [(ops.convert_to_numpy(layer(x, training=True)) == 0).mean() for _ in range(3)]
    assert shares[0] == 0 < shares[1] < shares[2]


def test_selective_drops_blocks_of_the_top_maps_only():
    x = np.ones((3, 8, 5, 4), "float32")
    x[..., 1] = 2
    drop = DropBlock(block_size=2, retaining_rate=0.5, seed=1)
    y = ops.convert_to_numpy(Selective(drop, top_rate=0.25)(x, training=True))
    assert 0 < (y[..., 1] == 0).mean() < 1
    np.testing.assert_array_equal(np.delete(y, 1, -1), np.delete(x, 1, -1))


@pytest.mark.parametrize(
    ("arguments", "kind", "match"),
    [
        ({"block_size": 0}, ValueError, "`block_size` must be an integer from 1 .*block_size=0"),
        ({"block_size": 2.0}, TypeError, "`block_size` must be an integer.*block_size=2.0"),
        ({"shared": 1}, TypeError, "`shared` must be a bool.*shared=1"),
        ({"retaining_rate": 0.0}, ValueError, r"`retaining_rate` must be in \(0, 1\]"),
    ],
)
def test_bad_arguments_are_named(arguments, kind, match):
    with pytest.raises(kind, match=match):
        DropBlock(**{"retaining_rate": 0.9, **arguments})
