"""What the drop layers have from their base: training flag, gradient, isolation, precision."""

import inspect
import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_selectscale
from keras_selectscale import FeatureDrop, Selective, strip_drops
from keras_selectscale.layers import feature_maps
from keras_selectscale.layers.methods import METHODS
from keras_selectscale.optimizers import CoupledSGD
from tests.layers import drawing, reference

HALVES = ["float16", "bfloat16"]


@pytest.fixture(params=drawing.LAYERS)
def make(request):
    return drawing.LAYERS[request.param]


@pytest.fixture(params=drawing.METHODS)
def method(request):
    return request.param


@keras.saving.register_keras_serializable(package="tests")
class SignFlip(FeatureDrop):
    """The example of `FeatureDrop`'s docstring."""

    def draw_factor(self, inputs, retaining_rate):
        noise = keras.random.uniform(self.map_shape(inputs), seed=self.seed_generator)
        return ops.where(noise < retaining_rate, 1.0, -1.0)


@pytest.mark.parametrize("call", [{}, {"training": False}, {"training": None}])
@pytest.mark.parametrize("shape", [(2, 3, 6), (1, 2, 5, 6), (2, 3, 1, 4, 6)])
def test_without_training_the_output_is_the_input_itself(make, shape, call):
    inputs = drawing.maps(shape)
    assert make()(inputs, **call) is inputs


@pytest.mark.parametrize(
    "shape", [(2, 3, 12), (3, 2, 5, 12), (2, 3, 1, 4, 12), (1, 4, 4, 12), (2, 1, 1)]
)
def test_in_training_the_factor_is_that_of_the_method(method, shape, data_format):
    inputs = drawing.maps(shape if data_format == "channels_last" else shape[::-1], data_format)
    rates = drawing.METHODS[method]
    factor = drawing.factor(method(data_format=data_format, seed=4, **rates), inputs)
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    reference.check_factor(method.__name__, factor, maps, **rates)
    assert maps.shape[-1] == 1 or np.any(factor != 1)


@pytest.mark.parametrize("dtype", HALVES)
def test_in_half_precision_the_factor_is_still_that_of_the_method(method, dtype):
    inputs = drawing.maps((20, 3, 2, 20), dtype=dtype)
    rates = drawing.METHODS[method]
    layer = method(seed=4, dtype=dtype, **rates)
    assert keras.backend.standardize_dtype(layer(inputs, training=True).dtype) == dtype
    factor = drawing.factor(layer, inputs)
    maps = drawing.as_array(inputs)
    reference.check_factor(method.__name__, factor, maps, unit=2.0**-8, **rates)
    assert np.any(factor != 1)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64", "float16"])
def test_the_output_has_the_compute_dtype_of_the_policy(make, policy):
    if policy == "float64" and drawing.BACKEND == "jax":
        pytest.skip("JAX has no float64 by default")
    layer = make(dtype=policy)
    for training in (False, True):
        outputs = layer(ops.ones((2, 3, 6), dtype="float32"), training=training)
        assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
        symbolic = layer(keras.Input((3, 6)), training=training)
        assert symbolic.dtype == layer.compute_dtype
    assert layer.compute_dtype == policy.removeprefix("mixed_")


def test_the_gradient_is_the_factor_and_nothing_comes_through_the_score(make):
    """Powers of two: output over input is the factor to the last bit."""
    inputs = drawing.maps((3, 2, 5, 12))
    layer = make(seed=5)
    layer.build(inputs.shape)
    outputs, gradient = drawing.outputs_and_gradient(lambda x: layer(x, training=True), inputs)
    factor = drawing.as_array(outputs) / drawing.as_array(inputs)
    assert np.any(factor != 1)
    np.testing.assert_array_equal(drawing.as_array(gradient), factor)


@pytest.mark.parametrize("score", ["max", "average_pool", "global_average"])
def test_no_gradient_comes_through_any_score(score):
    inputs = drawing.maps((3, 2, 5, 12))
    layer = keras_selectscale.SelectScale(top_rate=0.5, retaining_rate=0.0, score=score, seed=5)
    layer.build(inputs.shape)
    outputs, gradient = drawing.outputs_and_gradient(lambda x: layer(x, training=True), inputs)
    factor = drawing.as_array(outputs) / drawing.as_array(inputs)
    assert np.any(factor != 1)
    np.testing.assert_array_equal(drawing.as_array(gradient), factor)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_touches_no_other(make, bad):
    clean = drawing.as_array(drawing.maps((4, 3, 2, 12))).astype("float32")
    spoilt = clean.copy()
    spoilt[1, 0, 1, 3] = bad
    spoilt[1, 2, 0, 7] = np.nan
    results = [
        drawing.as_array(make(seed=6)(ops.convert_to_tensor(inputs), training=True))
        for inputs in (clean, spoilt)
    ]
    others = [0, 2, 3]
    np.testing.assert_array_equal(results[0][others], results[1][others])
    assert np.any(results[0][others] != clean[others])


def test_a_sample_is_drawn_and_ranked_by_itself(make):
    """The order of the other samples does not matter, and samples differ."""
    inputs = drawing.as_array(drawing.maps((4, 3, 2, 12))).astype("float32")
    changed = inputs.copy()
    changed[1:] = changed[1:][::-1] * 4
    one, other = (
        drawing.as_array(make(seed=6)(ops.convert_to_tensor(values), training=True))
        for values in (inputs, changed)
    )
    np.testing.assert_array_equal(one[0], other[0])
    same = drawing.as_array(make(seed=6)(ops.ones((6, 3, 2, 24)), training=True))
    assert np.any(same != same[:1])


@pytest.mark.skipif(drawing.BACKEND == "torch", reason="nothing is compiled on PyTorch")
@pytest.mark.parametrize("dtype", ["float32", *HALVES])
def test_compiled_the_factor_is_still_that_of_the_method(method, dtype):
    inputs = drawing.maps((6, 3, 2, 20), dtype=dtype)
    rates = drawing.METHODS[method]
    call, traces = drawing.compiled(method(seed=8, dtype=dtype, **rates), inputs.shape)
    drawn = [drawing.as_array(call(inputs)) / drawing.as_array(inputs) for _ in range(3)]
    assert traces() == 1
    assert np.any(drawn[0] != drawn[1]) and np.any(drawn[1] != drawn[2])
    for factor in drawn:
        maps = drawing.as_array(inputs)
        reference.check_factor(method.__name__, factor, maps, unit=2.0**-8, **rates)
    ties = drawing.as_array(call(ops.ones(inputs.shape, dtype=dtype)))
    reference.check_factor(method.__name__, ties, np.ones(inputs.shape), unit=2.0**-8, **rates)


def test_a_retaining_rate_of_one_is_the_identity(method):
    rates = {**drawing.METHODS[method], "retaining_rate": 1.0}
    inputs = drawing.maps((2, 3, 6))
    assert method(**rates)(inputs, training=True) is inputs


def test_without_a_rate_the_missing_argument_is_named(method):
    with pytest.raises(TypeError, match="retaining_rate"):
        method(**({"top_rate": 0.5} if "top_rate" in drawing.METHODS[method] else {}))


def test_the_arguments_are_keyword_only_and_kept_under_their_names(make):
    layer = make(name="a_drop", trainable=False, data_format="channels_first", dtype="float16")
    for argument, value in layer.get_config().items():
        if argument not in ("dtype", "drop"):
            assert getattr(layer, argument) == value
    kinds = {parameter.kind for parameter in inspect.signature(type(layer)).parameters.values()}
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert (positional in kinds) == isinstance(layer, Selective)


def test_a_method_of_ones_own_says_its_factor_alone():
    layer = SignFlip(retaining_rate=0.5, seed=1)
    factor = drawing.map_factor(layer, drawing.maps((4, 3, 2, 12)))
    np.testing.assert_array_equal(np.unique(factor), [-1, 1])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, SignFlip) and again.get_config() == layer.get_config()


def test_the_base_draws_nothing():
    with pytest.raises(NotImplementedError, match="FeatureDrop must define `draw_factor`"):
        FeatureDrop(retaining_rate=0.5)(ops.ones((2, 3, 4)), training=True)


def test_every_layer_is_registered_under_the_name_of_the_package(make):
    layer = make()
    registered = keras.saving.get_registered_name(type(layer))
    assert registered == f"keras_selectscale>{type(layer).__name__}"
    assert getattr(keras_selectscale, type(layer).__name__) is type(layer)


class Drifting(FeatureDrop):
    """A method of a user that takes its own arguments by position."""

    def __init__(self, rate, **kwargs):
        super().__init__(retaining_rate=1 - rate, **kwargs)


@pytest.mark.parametrize("layer", [m.layer for m in METHODS.values() if m.layer])
def test_the_arguments_of_keras_layers_are_explained(layer):
    for args, kwargs in [((0.1,), {}), ((), {"rate": 0.1}), ((0.1,), {"top_rate": 0.2})]:
        with pytest.raises(
            TypeError, match=rf"^{layer.__name__} takes .*`retaining_rate=0.9`.*0.1"
        ):
            layer(*args, **kwargs)
    for name in ("retain_rate", "drop_rate", "keep_prob"):  # Python names only what is missing.
        with pytest.raises(TypeError, match=f"write .*`retaining_rate=`.*Received: {name}=0.9$"):
            layer(**{name: 0.9})
    assert Drifting(0.25).retaining_rate == Drifting(rate=0.25).retaining_rate == 0.75
    with pytest.raises(TypeError, match="Drifting takes `rate` by position.*Received: 2"):
        Drifting(0.25, 2)


def test_a_file_that_needs_the_package_warns_once(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_maps, "NOTICES", ["Import keras_s"])
    drop = SignFlip(retaining_rate=0.5)
    model = keras.Sequential([keras.Input((4, 3)), Selective(drop, top_rate=0.5)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.save_weights(tmp_path / "model.weights.h5")  # They load without the classes.
        strip_drops(model).save(tmp_path / "stripped.keras")
        before = len(caught)  # Of Keras.
        model.save(tmp_path / "model.keras")
        model.save(tmp_path / "model.keras")
    ours = ["Import keras_s" in str(each.message) for each in caught]
    assert sum(ours) == 1 and not any(ours[:before])


def test_a_file_with_the_optimizer_warns_too(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_maps, "NOTICES", ["Import keras_s"])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(CoupledSGD(), "mse")
    with pytest.warns(UserWarning, match="Import keras_s"):
        model.save(tmp_path / "model.keras")


@pytest.mark.parametrize("name", [np.zeros((2, 2)), np.zeros(0), 3, "a/b", keras.Input((3,))])
def test_a_name_that_is_no_string_is_an_error(make, name):
    with pytest.raises(ValueError, match="`name` must be a string"):
        make(name=name)
