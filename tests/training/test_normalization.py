"""The fused normalization computes what Keras' layer does, and leaves no trace of itself.

`tests/layers/test_backends.py` runs this file on the other backends too.
"""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_selectscale import data, models, strip_drops
from keras_selectscale.training import (
    Recipe,
    RunFolder,
    fuse_normalization,
    load_checkpoint,
    normalization,
    train,
)

BACKEND = keras.backend.backend()
tensorflow_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="about TensorFlow's graph")


def layer_pair(shape, **arguments):
    """Returns Keras' layer and a fused one with the same weights, all of them unlike the start."""
    pair = [layers.BatchNormalization(**arguments) for _ in range(2)]
    generator = np.random.default_rng(1)
    for layer in pair:
        layer.build(shape)
    weights = [generator.uniform(0.5, 2.0, each.shape) for each in pair[0].weights]
    for layer in pair:
        layer.set_weights(weights)
    fuse_normalization(pair[1])
    return pair


def numbers(values):
    return [np.asarray(ops.convert_to_numpy(ops.cast(each, "float64"))) for each in values]


def results(layer, inputs, training=True, **call):
    """Returns output, gradients of input, gamma and beta, and the moving statistics."""
    parameters = [each for each in (layer.gamma, layer.beta) if each is not None]
    upstream = np.random.default_rng(2).normal(size=inputs.shape)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        inputs = tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=training, **call)
        gradients = tape.gradient(
            outputs,
            [inputs, *(each.value for each in parameters)],
            tf.cast(upstream, outputs.dtype),
        )
    elif BACKEND == "torch":
        import torch

        inputs = ops.convert_to_tensor(inputs).requires_grad_(True)
        outputs = layer(inputs, training=training, **call)
        wanted = [inputs, *(each.value for each in parameters if each.trainable)]
        gradients = torch.autograd.grad(
            outputs, wanted, ops.convert_to_tensor(upstream, outputs.dtype), allow_unused=True
        )
        gradients = [each for each in gradients if each is not None]
        outputs = outputs.detach()
    else:
        import jax

        state = [each.value for each in layer.non_trainable_variables]

        def forward(inputs, weights):
            return layer.stateless_call(weights, state, inputs, training=training, **call)

        weights = [each.value for each in layer.trainable_variables]
        # `stateless_call` does not cast.
        inputs = ops.cast(ops.convert_to_tensor(inputs), layer.compute_dtype)

        @jax.jit  # One compilation; without it, each operation is one.
        def differentiated(inputs, weights):
            outputs, pullback, state = jax.vjp(forward, inputs, weights, has_aux=True)
            to_inputs, gradients = pullback(ops.convert_to_tensor(upstream, outputs.dtype))
            return [outputs, to_inputs, *gradients, *state[-2:]]

        return numbers(differentiated(inputs, weights))
    gradients = [each for each in gradients if each is not None]
    return numbers([outputs, *gradients, layer.moving_mean, layer.moving_variance])


@pytest.fixture
def kernel_calls(monkeypatch):
    """Counts the calls for which the kernel returned something."""
    calls = []
    kernel = normalization._kernel()
    if BACKEND == "jax":
        import jax

        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")

    def counted(*arguments):
        found = kernel(*arguments)
        if found is not None:
            calls.append(arguments)
        return found

    monkeypatch.setattr(normalization, "_kernel", lambda: counted)
    return calls


LAST, FIRST = {"axis": -1}, {"axis": 1}
CASES = [
    ((6, 5, 4, 3), LAST, "float32"),
    ((6, 5, 4, 3), LAST, "mixed_bfloat16"),
    ((6, 5, 4, 3), LAST, "mixed_float16"),
    ((6, 3, 5, 4), FIRST, "float32"),
    ((6, 5, 4, 3), LAST, "float64"),
    ((6, 5, 4, 3), LAST, "bfloat16"),
    ((6, 3), LAST, "float32"),
    ((6, 5, 3), LAST, "mixed_bfloat16"),
    ((2, 3, 5, 4, 3), LAST, "float32"),
    ((6, 3, 5), FIRST, "float32"),
    ((1, 3), LAST, "float32"),
    ((6, 5, 4, 3), {"center": False}, "float32"),
    ((6, 5, 4, 3), {"scale": False}, "mixed_bfloat16"),
    ((6, 5, 4, 3), {"momentum": 0.3, "epsilon": 0.7}, "float32"),
    ((6, 5, 4, 3), {"renorm": True}, "float32"),
]
# What has no kernel: Keras computes the same bits.
WITHOUT = {
    "tensorflow": [(FIRST, "float32"), (LAST, "float64"), (LAST, "bfloat16")],
    "jax": [(LAST, "float64"), (LAST, "bfloat16")],
    "torch": [(LAST, "bfloat16")],
}


@pytest.mark.parametrize(("shape", "arguments", "dtype"), CASES)
def test_values_gradients_and_statistics_are_those_of_keras(shape, arguments, dtype, kernel_calls):
    inputs = np.random.default_rng(0).normal(3.0, 2.0, shape).astype("float32")
    plain, fused = layer_pair(shape, dtype=dtype, **arguments)
    expected, found = results(plain, inputs), results(fused, inputs)
    assert len(found) == len(expected)
    without = (arguments, dtype) in WITHOUT[BACKEND] or "renorm" in arguments
    without = without or (BACKEND == "torch" and shape == (1, 3))
    assert len(kernel_calls) == (0 if without else 1)
    half = {"mixed_bfloat16": 2**-8, "mixed_float16": 2**-11}.get(dtype, 0.0)
    for theirs, ours in zip(expected, found, strict=True):
        if without:
            np.testing.assert_array_equal(ours, theirs)
        else:
            size = np.abs(theirs).max()
            np.testing.assert_allclose(ours, theirs, rtol=half, atol=(3e-6 + half) * size)


def test_the_moving_variance_is_the_biased_one(kernel_calls):
    """With four numbers per channel, the unbiased variance is larger by a third."""
    inputs = np.random.default_rng(0).normal(size=(4, 1, 1, 3)).astype("float32")
    _, layer = layer_pair(inputs.shape, momentum=0.0)
    layer(inputs, training=True)
    assert len(kernel_calls) == 1
    variance = ops.convert_to_numpy(layer.moving_variance)
    np.testing.assert_allclose(variance, inputs.var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("case", ["inference", "frozen", "masked"])
def test_keras_computes_what_the_kernel_does_not(case, kernel_calls):
    shape = (6, 5, 3)
    inputs = np.random.default_rng(0).normal(3.0, 2.0, shape).astype("float32")
    pair = layer_pair(shape)
    call = {"training": case != "inference"}
    if case == "masked":
        call["mask"] = ops.convert_to_tensor(np.arange(30).reshape(6, 5) % 3 > 0)
    for layer in pair:
        layer.trainable = case != "frozen"
    expected, found = (results(layer, inputs, **call) for layer in pair)
    for theirs, ours in zip(expected, found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert kernel_calls == []


def test_gradients_of_gradients(kernel_calls):
    """A gradient penalty, as of a Wasserstein GAN."""
    inputs = np.random.default_rng(0).normal(1.0, 2.0, (4, 3, 2, 3)).astype("float32")
    found = []
    for layer in layer_pair(inputs.shape, epsilon=0.1):
        if BACKEND == "tensorflow":
            import tensorflow as tf

            x = tf.constant(inputs)
            with tf.GradientTape() as outer:
                outer.watch(x)
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    value = tf.reduce_sum(layer(x, training=True) ** 3)
                penalty = tf.reduce_sum(inner.gradient(value, x) ** 2)
            gradients = outer.gradient(penalty, [x, layer.gamma.value, layer.beta.value])
        elif BACKEND == "jax":
            import jax

            state = [each.value for each in layer.non_trainable_variables]

            def value(x, weights, layer=layer, state=state):
                outputs, _ = layer.stateless_call(weights, state, x, training=True)
                return (outputs**3).sum()

            def penalty(x, weights, value=value):
                return (jax.grad(value)(x, weights) ** 2).sum()

            weights = [each.value for each in layer.trainable_variables]
            x, weights = jax.jit(jax.grad(penalty, (0, 1)))(ops.convert_to_tensor(inputs), weights)
            gradients = [x, *weights]
        else:
            import torch

            x = torch.tensor(inputs, requires_grad=True)
            value = (layer(x, training=True) ** 3).sum()
            (first,) = torch.autograd.grad(value, x, create_graph=True)
            wanted = [x, layer.gamma.value, layer.beta.value]
            gradients = torch.autograd.grad((first**2).sum(), wanted)
        found.append(numbers(gradients))
    assert len(kernel_calls) == 1
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def small_model(**arguments):
    """Returns a compiled model with a layer inside another model."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3)(inputs)
    inner_inputs = keras.Input((4, 4, 4))
    x = keras.Model(inner_inputs, layers.BatchNormalization(name="inner")(inner_inputs))(x)
    x = layers.Flatten()(layers.ReLU()(layers.BatchNormalization(name="outer")(x)))
    model = keras.Model(inputs, layers.Dense(3)(x))
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **arguments,
    )
    return model


def samples(count=20):
    generator = np.random.default_rng(4)
    images = generator.normal(1.0, 1.0, (count, 6, 6, 2)).astype("float32")
    return images, generator.integers(0, 3, count)


def fitted(model, **arguments):
    images, labels = samples()
    model.fit(images, labels, batch_size=8, epochs=2, shuffle=False, verbose=0, **arguments)
    return model.get_weights()


@pytest.mark.parametrize(
    "arguments",
    [
        # JAX would compile each operation.
        {"run_eagerly": BACKEND != "jax"},
        pytest.param({"steps_per_execution": 2}, marks=tensorflow_only),
    ],
)
def test_a_training_is_that_of_keras(arguments, kernel_calls):
    plain, fused = small_model(**arguments), small_model(**arguments)
    fuse_normalization(fused)
    for ours, theirs in zip(fitted(fused), fitted(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert kernel_calls


def test_nothing_of_it_is_saved_or_copied(tmp_path):
    plain, fused = small_model(), small_model()
    config, names = fused.to_json(), [each.path for each in fused.weights]
    fuse_normalization(fused)
    fitted(fused)
    plain.set_weights(fused.get_weights())
    assert fused.to_json() == config and [each.path for each in fused.weights] == names
    fused.save(tmp_path / "model.keras")
    images, _ = samples(3)
    expected = plain.predict(images, verbose=0)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for model in (fused, loaded, keras.models.clone_model(fused), strip_drops(fused)):
        model.set_weights(fused.get_weights())
        np.testing.assert_array_equal(model.predict(images, verbose=0), expected)
        layer = model.get_layer("outer")
        assert type(layer) is layers.BatchNormalization
        assert model is fused or "call" not in vars(layer)


def test_a_context_undoes_it(kernel_calls):
    model = small_model()
    names = ["inner", "outer"]
    with fuse_normalization(model) as changed:
        assert sorted(layer.name for layer in changed) == names
        with fuse_normalization(model) as again:
            assert again == []
        fitted(model)
        assert len(kernel_calls) >= 2
    assert all("call" not in vars(layer) for layer in changed)
    kernel_calls.clear()
    fitted(model)
    assert kernel_calls == []


@pytest.mark.parametrize("began", [None, "former", "keras"])
def test_a_run_trains_with_what_it_began_with(began, tmp_path, monkeypatch, kernel_calls):
    monkeypatch.setattr(models, "build", lambda *arguments, **options: tiny_network())
    run = RunFolder(tmp_path / "run")
    recipe = Recipe(network="tiny", dataset="digits", epochs=1, batch_size=20)
    images = data.load("digits", train_size=40)
    if began == "keras":
        run.open(dataclasses.replace(recipe, normalization="keras"), {})
    else:
        run.open(recipe, {})
    if began == "former":  # Without the field, as an earlier version wrote it.
        config = json.loads(run.config_path.read_text())
        del config["recipe"]["normalization"]
        run.config_path.write_text(json.dumps(config))
    run.open(recipe, {})
    train(recipe, run, images, tensorboard=False)
    assert bool(kernel_calls) == (began is None)
    assert run.recipe().normalization == ("fused" if began is None else "keras")
    assert load_checkpoint(run).get_layer("norm").get_config()["name"] == "norm"


def tiny_network():
    inputs = keras.Input((8, 8, 1))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(2, 3)(inputs))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))


class Doubled(layers.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


def test_a_subclass_keeps_its_own_computation():
    layer = Doubled()
    with fuse_normalization(keras.Sequential([layer])) as changed:
        assert changed == []


def test_what_is_no_model_is_named():
    with pytest.raises(TypeError, match="`model` must be a keras.Model or a layer. Received"):
        fuse_normalization("model")


@tensorflow_only
@pytest.mark.parametrize("case", ["xla", "synchronized"])
def test_xla_and_replicas_that_share_statistics_use_keras(case, kernel_calls):
    import tensorflow as tf

    shape = (6, 5, 4, 3)
    _, layer = layer_pair(shape, synchronized=case == "synchronized")
    step = tf.function(lambda x: layer(x, training=True), jit_compile=case == "xla")
    step(tf.ones(shape))
    assert kernel_calls == []


@pytest.mark.skipif(BACKEND != "jax", reason="about JAX's accelerators")
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_a_variance_that_is_small_next_to_the_mean_keeps_its_digits(kernel_calls, mean):
    inputs = np.random.default_rng(3).normal(mean, 0.5, (8, 7, 6, 3)).astype("float32")
    _, fused = layer_pair(inputs.shape, momentum=0.0)
    results(fused, inputs)
    expected = inputs.astype("float64").var((0, 1, 2))
    *_, variance = results(fused, inputs)
    assert kernel_calls
    # The mean of the squares minus the square of the mean would have no digit left at 1000.
    np.testing.assert_allclose(variance, expected, rtol=1e-4)
