"""The shared pieces against independent formulations."""

import itertools

import keras
import numpy as np
import pytest

from keras_selectscale.models import blocks
from keras_selectscale.models.drop_sites import DropSites
from tests.models.inspection import outputs, source_of, trainable_parameters


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def model_of(shape, piece, *args, **kwargs):
    inputs = keras.Input(shape)
    return keras.Model(inputs, piece(inputs, *args, data_format="channels_last", **kwargs))


def reference_conv(x, kernel, strides):
    """Convolves as the papers' code does: half the kernel of zeros on every side."""
    size = kernel.shape[0]
    x = np.pad(x, [(0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)])
    rows, columns = (range(0, length - size + 1, strides) for length in x.shape[1:3])
    y = np.zeros((len(x), len(rows), len(columns), kernel.shape[-1]))
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        window = x[:, row : row + size, column : column + size]
        y[:, i, j] = np.tensordot(window, kernel, 3)
    return y


@pytest.mark.parametrize("kernel_size, strides", [(1, 1), (3, 1), (1, 2), (3, 2), (7, 2)])
@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_a_convolution_pads_both_sides_alike(kernel_size, strides, size):
    model = model_of((*size, 3), blocks.conv_bn, 4, "a", kernel_size=kernel_size, strides=strides)
    x = images(2, *size, 3)
    conv = model.get_layer("a_conv")
    kernel = keras.ops.convert_to_numpy(conv.kernel)
    # At first a BN divides by the root of 1 + epsilon in inference.
    expected = reference_conv(x, kernel, strides) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(outputs(model, x), expected, rtol=1e-4, atol=1e-5)
    assert trainable_parameters(model) == kernel_size**2 * 3 * 4 + 2 * 4


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("groups", [2, 4])
def test_the_groups_of_a_convolution_compute_what_a_grouped_one_does(groups, strides):
    model = model_of((6, 8, 8), blocks.conv_bn, 12, "a", strides=strides, groups=groups)
    grouped = keras.Sequential(
        [
            keras.Input((6, 8, 8)),
            keras.layers.ZeroPadding2D(1),
            keras.layers.Conv2D(12, 3, strides=strides, groups=groups, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        ]
    )
    parts = [model.get_layer(f"a_conv_{number}").kernel for number in range(1, groups + 1)]
    grouped.layers[1].kernel.assign(
        np.concatenate([keras.ops.convert_to_numpy(part) for part in parts], axis=-1)
    )
    x = images(2, 6, 8, 8)
    np.testing.assert_allclose(outputs(model, x), outputs(grouped, x), rtol=1e-4, atol=1e-5)
    assert trainable_parameters(model) == trainable_parameters(grouped)
    # Each group has initial weights of its own, and one step of training changes them alike.
    start = [keras.ops.convert_to_numpy(part) for part in parts]
    assert len({part.tobytes() for part in start}) == groups
    for network in (model, grouped):
        network.compile(keras.optimizers.SGD(1.0), "mse")
        network.train_on_batch(x, outputs(network, x) + images(*outputs(network, x).shape))
    steps = [keras.ops.convert_to_numpy(part) - old for part, old in zip(parts, start, strict=True)]
    expected = keras.ops.convert_to_numpy(grouped.layers[1].kernel) - np.concatenate(start, axis=-1)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(np.concatenate(steps, axis=-1), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_grouped_convolution_trains(jit_compile):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("needs a compiler of C++")
    inputs = keras.Input((4, 6, 8))
    x = blocks.conv_bn_relu(inputs, 16, "a", groups=4, data_format="channels_last")
    model = keras.Model(inputs, blocks.classifier(x, 3, data_format="channels_last"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss, jit_compile=jit_compile)
    x, y = images(12, 4, 6, 8), np.arange(12) % 3
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    losses = model.fit(x, y, epochs=20, batch_size=12, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    for old, weight in zip(before, model.trainable_weights, strict=True):
        assert not np.array_equal(old, keras.ops.convert_to_numpy(weight)), weight.path


def test_a_grouped_convolution_takes_the_channels_of_either_format():
    x = keras.Input((8, 5, 7))
    y = blocks.conv_bn(x, 12, "a", strides=2, groups=4, data_format="channels_first")
    assert y.shape == (None, 12, 3, 4)


def test_a_network_with_groups_saves_and_clones_with_layers_of_keras(tmp_path):
    model = model_of((4, 6, 8), blocks.conv_bn, 16, "a", groups=4)
    assert all(type(operation).__module__.startswith("keras.") for operation in model.operations)
    model.save(tmp_path / "model.keras")
    x = images(2, 4, 6, 8)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(again, x), outputs(model, x))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(outputs(clone, x), outputs(model, x))


@pytest.mark.parametrize(
    "group, channels, shortcut, shape",
    [
        (1, 16, "images", (6, 8, 16)),  # Nothing changes: the identity.
        (1, 8, "group1_block1_shortcut_bn", (6, 8, 16)),
        (2, 16, "group2_block1_shortcut_bn", (3, 4, 16)),
    ],
)
def test_a_bottleneck_projects_where_the_shape_changes(group, channels, shortcut, shape):
    inputs = keras.Input((6, 8, channels), name="images")
    y = blocks.bottlenecks(
        inputs,
        2,
        group=group,
        width=4,
        filters=16,
        drops=DropSites(None),
        drop_behind=(),
        data_format="channels_last",
    )
    model = keras.Model(inputs, y)
    block = f"group{group}_block1"
    assert source_of(model, f"{block}_add") == [f"{block}_3_bn", shortcut]
    # The second block is never one that changes the shape.
    assert source_of(model, f"group{group}_block2_add")[1] == f"{block}_relu"
    assert y.shape[1:] == shape
    kernels = [model.get_layer(f"{block}_{part}_conv").kernel.shape for part in (1, 2, 3)]
    assert [tuple(kernel) for kernel in kernels] == [
        (1, 1, channels, 4),
        (3, 3, 4, 4),
        (1, 1, 4, 16),
    ]
    # The stride stands in the 3x3.
    strides = [model.get_layer(f"{block}_{part}_conv").strides[0] for part in (1, 2, 3)]
    assert strides == [1, group, 1]
