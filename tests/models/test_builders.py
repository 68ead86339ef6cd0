"""What every builder of a network keeps to."""

import functools

import keras
import numpy as np
import pytest

from keras_selectscale import FeatureDrop, SelectScale
from keras_selectscale.models import VGG, CifarResNet, CifarResNeXt, ResNet50, resnet50, vgg
from tests.models.inspection import drops, outputs, trainable_parameters

BUILDERS = {
    "resnet": functools.partial(CifarResNet, 8),
    "resnext": functools.partial(CifarResNeXt, 11, 2, 4),
    "resnet50": functools.partial(ResNet50, classes=10, input_shape=(32, 32, 3)),
    "vgg": functools.partial(VGG, 11),
}


@pytest.fixture(params=BUILDERS)
def builder(request, monkeypatch):
    """Gives each builder at a size that is built at once."""
    groups = tuple((1, 4 * 2**group, 8 * 2**group) for group in range(4))
    monkeypatch.setattr(resnet50, "GROUPS", groups)
    monkeypatch.setattr(vgg, "GROUP_FILTERS", (8, 8, 16, 16, 16))
    return BUILDERS[request.param]


def test_drops_act_in_training_alone(builder):
    plain = builder(input_shape=(8, 12, 1))
    template = SelectScale(top_rate=0.5, retaining_rate=0.0, seed=1)
    dropped = builder(input_shape=(8, 12, 1), drop=template)
    assert len(drops(dropped, SelectScale)) >= 6 and not template.built
    dropped.set_weights(plain.get_weights())
    x = np.random.default_rng(0).normal(size=(4, 8, 12, 1)).astype("float32")
    np.testing.assert_array_equal(outputs(plain, x), outputs(dropped, x))
    first, second = outputs(dropped, x, training=True), outputs(dropped, x, training=True)
    assert not np.allclose(first, second)


def test_a_template_gives_each_site_a_seed_of_its_own_and_each_network_the_same(builder):
    def seeds(seed):
        template = SelectScale(top_rate=0.5, retaining_rate=0.5, seed=seed)
        return [layer.seed for layer in drops(builder(drop=template), SelectScale)]

    first = seeds(7)
    assert len(set(first)) == len(first)
    assert seeds(7) == first
    assert not set(first) & set(seeds(8))


def test_it_trains(builder):
    drop = SelectScale(top_rate=0.5, retaining_rate=0.5, seed=1)
    model = builder(input_shape=(8, 8, 1), classes=3, drop=drop)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    x = np.random.default_rng(0).normal(size=(12, 8, 8, 1)).astype("float32")
    losses = model.fit(x, np.arange(12) % 3, epochs=2, batch_size=6, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    changed = [
        not np.array_equal(old, keras.ops.convert_to_numpy(weight))
        for old, weight in zip(before, model.trainable_weights, strict=True)
    ]
    assert all(changed)


def test_channels_first_builds_the_same_network(builder):
    last = builder(input_shape=(24, 40, 3))
    first = builder(input_shape=(3, 24, 40), data_format="channels_first")
    assert trainable_parameters(first) == trainable_parameters(last)
    convolutions = [
        [layer.output.shape for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        for model in (first, last)
    ]
    assert [(n, h, w, c) for n, c, h, w in convolutions[0]] == convolutions[1]
    assert first.output.shape == last.output.shape == (None, 10)


def test_height_and_width_may_be_unknown(builder):
    model = builder(input_shape=(None, None, 3))
    assert outputs(model, np.zeros((2, 16, 24, 3), "float32")).shape == (2, 10)


def test_batch_normalisation_and_initialisation_are_the_papers(builder):
    layers = builder().layers
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    convolutions = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert norms and convolutions
    assert all((layer.momentum, layer.epsilon) == (0.9, 1e-5) for layer in norms)
    for layer in convolutions:
        assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal)
        assert not layer.use_bias


def test_a_network_without_drops_needs_nothing_of_this_package(builder):
    operations = builder().operations
    assert all(type(operation).__module__.startswith("keras.") for operation in operations)


def test_logits_are_float32_under_a_mixed_policy(builder):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = builder(drop=SelectScale(top_rate=0.5, retaining_rate=0.5))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output.dtype == "float32"
    assert {layer.compute_dtype for layer in drops(model, FeatureDrop)} == {"bfloat16"}


def test_the_name_can_be_chosen(builder):
    assert builder(name="mine").name == "mine"


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        ({"classes": 0}, ValueError, "`classes`.*0"),
        ({"classes": "10"}, TypeError, "`classes`.*'10'"),
        ({"input_shape": (32, 32)}, ValueError, "`input_shape`"),
        ({"input_shape": (32, 32, None)}, ValueError, "`input_shape`"),
        ({"input_shape": (32, -1, 3)}, ValueError, "`input_shape`"),
        ({"input_shape": (32, "32", 3)}, ValueError, "`input_shape`"),
        ({"input_shape": 32}, ValueError, "`input_shape`.*32"),
        ({"data_format": "NHWC"}, ValueError, "`data_format`.*NHWC"),
        ({"drop": 0.9}, TypeError, "`drop`.*0.9"),
        ({"drop": SelectScale}, TypeError, "`drop`"),
        ({"drop": lambda site: "no"}, TypeError, "`drop`.*'no'.*DropSite"),
    ],
)
def test_bad_arguments_are_named(builder, arguments, error, match):
    with pytest.raises(error, match=match):
        builder(**arguments)
