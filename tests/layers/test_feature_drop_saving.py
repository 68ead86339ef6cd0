"""Config, `.keras` and weight files, and going on from a checkpoint."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale import (
    FeatureDrop,
    Selective,
    Selectout,
    SelectScale,
    SpatialDropout,
    SpatialScale,
    StandardDropout,
    exponential_curriculum,
    insert_drops,
    linear_curriculum,
)
from keras_selectscale.layers import AveragePoolScore
from tests.layers import drawing

COMMON = {
    "data_format": "channels_first",
    "seed": 7,
    "name": "a_drop",
    "dtype": "mixed_bfloat16",
    "trainable": False,
}
SHAPE = (4, 3, 5, 12)


@keras.saving.register_keras_serializable(package="tests")
def minimum_score(inputs, channel_axis):
    axes = [axis for axis in range(1, len(inputs.shape)) if axis != channel_axis]
    return -ops.min(ops.abs(inputs), axis=axes)


EXAMPLES = {
    "standard": lambda: StandardDropout(retaining_rate=0.7, **COMMON),
    "spatial": lambda: SpatialDropout(retaining_rate=linear_curriculum(0.7, 9), **COMMON),
    "scale": lambda: SpatialScale(retaining_rate=exponential_curriculum(0.0, 9, 4), **COMMON),
    "selectout": lambda: Selectout(
        top_rate=1.0, retaining_rate=0.6, score="global_average", **COMMON
    ),
    "select_scale": lambda: SelectScale(
        top_rate=0.3, retaining_rate=0.0, score="average_pool", **COMMON
    ),
    "function": lambda: SelectScale(
        top_rate=0.3, retaining_rate=linear_curriculum(0.2, 9), score=minimum_score, **COMMON
    ),
    "object": lambda: SelectScale(
        top_rate=0.3, retaining_rate=0.1, score=AveragePoolScore(4, strides=2), **COMMON
    ),
    "selective": lambda: Selective(
        SpatialScale(
            retaining_rate=linear_curriculum(0.2, 9), data_format="channels_first", seed=3
        ),
        top_rate=0.4,
        score=minimum_score,
        name="chosen",
        dtype="float32",
        trainable=False,
    ),
    "selective_keras": lambda: Selective(
        keras.layers.GaussianDropout(0.2, seed=9), top_rate=0.4, data_format="channels_first"
    ),
    "selective_twice": lambda: Selective(
        Selective(keras.layers.SpatialDropout2D(0.2, seed=9), top_rate=0.5), top_rate=0.25
    ),
}


@pytest.fixture(params=EXAMPLES)
def make(request):
    return EXAMPLES[request.param]


def without(config, left_out):
    """Returns `config` without one key, in nested layers neither."""
    if not isinstance(config, dict):
        return config
    return {key: without(value, left_out) for key, value in config.items() if key != left_out}


def roundtrips(layer, folder):
    yield type(layer).from_config(layer.get_config())
    yield keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    model = keras.Sequential([keras.Input(SHAPE[1:]), layer])
    model.save(folder / "model.keras")
    yield keras.saving.load_model(folder / "model.keras").layers[0]
    yield keras.models.clone_model(model).layers[0]


def test_every_argument_survives(make, tmp_path):
    layer = make()
    config = without(layer.get_config(), "build_config")
    for again in roundtrips(layer, tmp_path):
        assert type(again) is type(layer) and again is not layer
        assert without(again.get_config(), "build_config") == config
        assert again.dtype_policy == layer.dtype_policy
        assert again.trainable == layer.trainable and again.name == layer.name
        assert again.data_format == layer.data_format
        for argument in ("retaining_rate", "score", "drop"):
            assert type(getattr(again, argument, None)) is type(getattr(layer, argument, None))


def test_the_config_holds_the_arguments_by_name():
    config = EXAMPLES["selectout"]().get_config()
    dtype = config.pop("dtype")
    assert dtype["config"]["name"] == "mixed_bfloat16"
    expected = {**COMMON, "top_rate": 1.0, "retaining_rate": 0.6, "score": "global_average"}
    del expected["dtype"]
    assert config == expected


def test_a_nested_drop_and_a_score_work_after_loading(tmp_path):
    for again in roundtrips(EXAMPLES["selective"](), tmp_path):
        assert isinstance(again.drop, SpatialScale) and again.drop.seed == 3
        assert again.score is minimum_score
    for again in roundtrips(EXAMPLES["object"](), tmp_path):
        assert again.score.get_config() == {"window": 4, "strides": 2}


def save_and_load(model, build, suffix, folder):
    path = folder / f"model{suffix}"
    if suffix == ".keras":
        model.save(path)
        return keras.saving.load_model(path)
    model.save_weights(path)
    loaded = build()
    loaded.load_weights(path)
    return loaded


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize("seeded", [True, False])
def test_a_loaded_layer_goes_on_with_the_draws_it_would_have_made(make, seeded, suffix, tmp_path):
    def build():
        config = make().get_config()
        if not seeded:
            config = without(config, "seed")
        layer = type(make()).from_config(config)
        return keras.Sequential([keras.Input(SHAPE[1:]), layer])

    model = build()
    inputs = drawing.as_array(drawing.maps(SHAPE))
    for _ in range(3):
        model(inputs, training=True)
    loaded = save_and_load(model, build, suffix, tmp_path)
    drawn = [drawing.as_array(model(inputs, training=True)) for _ in range(3)]
    assert np.any(drawn[0] != drawn[1])
    for expected in drawn:
        np.testing.assert_array_equal(drawing.as_array(loaded(inputs, training=True)), expected)


@pytest.mark.parametrize("rate", [0.5, linear_curriculum(0.5, 9)])
def test_a_weight_file_without_random_state_loads(rate, tmp_path, monkeypatch):
    """Such as one written by a network that had other drops."""

    def build():
        drop = SpatialScale(retaining_rate=rate, seed=3)
        return keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(12), drop])

    model = build()
    model(ops.ones(SHAPE), training=True)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureDrop, "save_own_variables", keras.Layer.save_own_variables)
        model.save_weights(tmp_path / "old.weights.h5")
    loaded = build()
    loaded.load_weights(tmp_path / "old.weights.h5")
    np.testing.assert_array_equal(
        drawing.as_array(loaded.layers[1].seed_generator.state.value), [3, 0]
    )
    np.testing.assert_array_equal(*(drawing.as_array(m.layers[0].kernel) for m in (model, loaded)))
    if not isinstance(rate, float):
        assert int(loaded.layers[1].training_calls) == 1


def test_weights_go_between_a_drop_and_none(tmp_path):
    """The drop that is there finds no state in the file and keeps its own."""
    plain = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(12), keras.layers.ReLU()])
    plain.save_weights(tmp_path / "plain.weights.h5")
    drop = SpatialScale(retaining_rate=0.5, seed=3)
    model = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(12), drop])
    model.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_array_equal(*(drawing.as_array(m.layers[0].kernel) for m in (model, plain)))


@keras.saving.register_keras_serializable(package="tests")
class Offset(SpatialScale):
    """A custom drop with weights of its own, before and after the count."""

    def build(self, input_shape):
        self.offset = self.add_weight(shape=(), initializer="zeros", trainable=True)
        super().build(input_shape)
        self.last = self.add_weight(shape=(2,), initializer="zeros", trainable=False)


@keras.saving.register_keras_serializable(package="tests")
class Composite(keras.layers.Layer):
    """A layer that holds a drop as an attribute."""

    def __init__(self, drop, **kwargs):
        super().__init__(**kwargs)
        self.drop = drop

    def get_config(self):
        return {**super().get_config(), "drop": keras.saving.serialize_keras_object(self.drop)}

    def build(self, shape):
        self.drop.build(shape)

    def call(self, inputs, training=False):
        return self.drop(inputs, training=training)


def select_scale(rate):
    return SelectScale(retaining_rate=rate, top_rate=0.5, seed=3)


def in_sequence(make_layer):
    dense = keras.layers.Dense(12, bias_initializer="uniform")
    return keras.Sequential([keras.Input(SHAPE[1:]), dense, make_layer()])


# Networks by a rate, and the drop in each.
TRANSFERS = {
    "layer": lambda rate: in_sequence(lambda: SpatialDropout(retaining_rate=rate, seed=3)),
    "custom": lambda rate: in_sequence(lambda: Offset(retaining_rate=rate, seed=3)),
    "selective": lambda rate: in_sequence(
        lambda: Selective(SpatialScale(retaining_rate=rate, seed=3), top_rate=0.5)
    ),
    "time_distributed": lambda rate: in_sequence(
        lambda: keras.layers.TimeDistributed(SpatialScale(retaining_rate=rate, seed=3))
    ),
    "composite": lambda rate: in_sequence(lambda: Composite(select_scale(rate))),
    "nested": lambda rate: in_sequence(
        lambda: keras.Sequential([keras.Input(SHAPE[1:]), select_scale(rate)])
    ),
    "inserted": lambda rate: insert_drops(
        in_sequence(lambda: keras.layers.Conv2D(12, 1, name="conv")),
        select_scale(rate),
        after=["conv"],
    ),
}


def counting(model):
    """Returns the drops of a model with a count, wherever they are."""
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if getattr(layer, "training_calls", None) is not None]


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize("network", TRANSFERS)
def test_files_go_between_a_schedule_and_a_constant_rate(network, suffix, tmp_path):
    """To train with a curriculum and evaluate with a constant rate is common."""
    make, schedule = TRANSFERS[network], linear_curriculum(0.5, 9)

    def load(source, rate):
        path = tmp_path / f"{id(source)}{suffix}"
        source.save(path) if suffix == ".keras" else source.save_weights(path)
        target = make(rate)
        target.load_weights(path)
        shared = [v for v in source.weights if v.name != "training_calls"]
        others = [v for v in target.weights if v.name != "training_calls"]
        for one, other in zip(shared, others, strict=True):
            np.testing.assert_array_equal(drawing.as_array(one), drawing.as_array(other))
        return target

    scheduled = make(schedule)
    scheduled(ops.ones(SHAPE), training=True)
    assert counting(load(scheduled, 0.5)) == []
    assert [int(drop.training_calls) for drop in counting(load(scheduled, schedule))] == [1]
    again = load(make(0.5), schedule)
    assert [int(drop.training_calls) for drop in counting(again)] == [0]


@pytest.mark.parametrize("network", TRANSFERS)
def test_lists_of_weights_hold_no_count(network):
    """As with random states, `get_weights` and `set_weights` leave it out."""
    make = TRANSFERS[network]
    scheduled, constant = make(linear_curriculum(0.5, 9)), make(0.5)
    scheduled(ops.ones(SHAPE), training=True)
    for source, target in ((scheduled, constant), (constant, scheduled)):
        values = [np.full_like(value, 3) for value in source.get_weights()]
        target.set_weights(values)
        for one, other in zip(values, target.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert [int(drop.training_calls) for drop in counting(scheduled)] == [1]
    counts = [drop.training_calls for drop in counting(scheduled)]
    assert all(any(v is count for v in scheduled.non_trainable_variables) for count in counts)


@pytest.mark.parametrize(
    "values",
    [[np.int32(1), np.int32(2)], [np.ones(2)], [np.float32(1)]],
    ids=["two counts", "a vector", "a float"],
)
def test_what_is_no_count_is_still_an_error(values):
    layer = SpatialScale(retaining_rate=0.5)
    layer.build(SHAPE)
    with pytest.raises(ValueError, match="expected 0 variables"):
        layer.load_own_variables({str(place): value for place, value in enumerate(values)})


def test_an_unbuilt_layer_does_not_lose_its_count():
    layer = SpatialScale(retaining_rate=linear_curriculum(0.5, 9))
    with pytest.raises(ValueError, match="never built"):
        layer.load_own_variables({"0": np.int32(3)})


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_selective_drop_loads_from_one_around_a_drop_of_keras(suffix, tmp_path):
    """The random state of Keras' own drops is saved by the layer around them."""

    def make(drop):
        return in_sequence(lambda: Selective(drop, top_rate=0.5))

    source = make(keras.layers.GaussianDropout(0.2))
    target = make(SpatialScale(retaining_rate=0.5))
    path = tmp_path / f"source{suffix}"
    source.save(path) if suffix == ".keras" else source.save_weights(path)
    target.load_weights(path)
    np.testing.assert_array_equal(*(drawing.as_array(m.layers[0].bias) for m in (source, target)))


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="a checkpoint of TensorFlow")
def test_checkpoints_of_tensorflow_go_between_a_schedule_and_a_constant_rate(tmp_path):
    import tensorflow as tf

    for rates in ((0.5, linear_curriculum(0.5, 9)), (linear_curriculum(0.5, 9), 0.5)):
        source, target = map(TRANSFERS["layer"], rates)
        saved = tf.train.Checkpoint(model=source).save(tmp_path / "checkpoint")
        tf.train.Checkpoint(model=target).restore(saved).expect_partial()
        np.testing.assert_array_equal(source.layers[0].bias.numpy(), target.layers[0].bias.numpy())


class Interrupted(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise Interrupted


@pytest.mark.parametrize("name", ["spatial", "function", "selective_keras"])
def test_a_training_that_was_interrupted_ends_as_one_that_was_not(name, tmp_path):
    samples = drawing.as_array(drawing.maps((8, *SHAPE[1:])))

    def train(*callbacks):
        keras.utils.set_random_seed(1)
        layer = EXAMPLES[name]()
        model = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(12), layer])
        model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), loss="mse")
        model.fit(
            samples,
            samples,
            batch_size=4,
            epochs=4,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )
        generator = getattr(layer, "drop", layer).seed_generator
        return [drawing.as_array(v) for v in (*model.weights, generator.state.value)]

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    with pytest.raises(Interrupted):
        train(backup(), Interrupt())
    resumed, uninterrupted = train(backup()), train()
    for one, other in zip(resumed, uninterrupted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert resumed[-1][1] == 8, "one draw for each step"
