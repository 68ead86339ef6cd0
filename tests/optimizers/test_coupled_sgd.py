import keras
import numpy as np
import pytest

from keras_selectscale.optimizers import CoupledSGD


def reference_steps(weight, gradients, rate, momentum, nesterov, l2):
    """PyTorch's SGD at a constant learning rate, in float64."""
    weight, buffer = np.float64(weight), 0.0
    for gradient in gradients:
        gradient = gradient + l2 * weight
        buffer = momentum * buffer + gradient
        weight = weight - rate * (gradient + momentum * buffer if nesterov else buffer)
    return weight


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_it_steps_as_the_papers_code_does(nesterov, l2):
    start, gradients = np.array([1.0, -2.0, 3.0]), np.random.default_rng(0).normal(size=(20, 3))
    variable = keras.Variable(start.astype("float32"))
    optimizer = CoupledSGD(0.1, momentum=0.9, nesterov=nesterov, l2=l2)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
    expected = reference_steps(start, gradients, 0.1, 0.9, nesterov, l2)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(variable.value), expected, rtol=1e-5, atol=1e-6
    )


def test_keras_own_weight_decay_is_another_thing():
    def after(optimizer):
        variable = keras.Variable(np.ones(1, "float32"))
        for _ in range(50):
            optimizer.apply([keras.ops.zeros(1)], [variable])
        return float(keras.ops.convert_to_numpy(variable.value)[0])

    coupled = after(CoupledSGD(0.1, momentum=0.9, l2=0.01))
    decoupled = after(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01))
    assert 1 - coupled > 5 * (1 - decoupled)


def test_every_trainable_weight_decays_batch_normalisation_included():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    model.compile(CoupledSGD(0.1, momentum=0.0, nesterov=False, l2=0.5), "mse")
    x = np.zeros((8, 4), "float32")
    model.train_on_batch(x, x)  # All gradients are zero: what moves, decays.
    gamma = keras.ops.convert_to_numpy(model.layers[0].gamma.value)
    np.testing.assert_allclose(gamma, np.full(4, 0.95), rtol=1e-6)


def test_every_argument_survives_serialisation():
    optimizer = CoupledSGD(0.3, momentum=0.7, nesterov=False, l2=0.01, name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert (again.l2, again.momentum, again.nesterov, again.name) == (0.01, 0.7, False, "mine")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"l2": -1e-4}, ValueError),
        ({"l2": float("nan")}, ValueError),
        ({"l2": float("inf")}, ValueError),
        ({"l2": "5e-4"}, TypeError),
        ({"learning_rate": float("nan")}, ValueError),
        ({"learning_rate": -0.5}, ValueError),
        ({"learning_rate": "0.1"}, TypeError),
        ({"learning_rate": dict}, TypeError),
        ({"weight_decay": "x"}, TypeError),
        ({"clipnorm": []}, TypeError),
        ({"clipvalue": -1}, ValueError),
        ({"global_clipnorm": float("nan")}, ValueError),
        ({"momentum": float("nan")}, ValueError),
        ({"momentum": 1.5}, ValueError),
        ({"nesterov": "x"}, TypeError),
    ],
)
def test_a_bad_argument_is_named(arguments, error):
    (name,) = arguments
    with pytest.raises(error, match=f"`{name}`.*Received: {name}="):
        CoupledSGD(**arguments)


def test_a_schedule_is_a_learning_rate():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    again = CoupledSGD.from_config(CoupledSGD(schedule).get_config())
    assert isinstance(again._learning_rate, keras.optimizers.schedules.CosineDecay)


@pytest.mark.parametrize("key", ["gradient_accumulation_steps", "momentum", "l2"])
def test_a_bad_value_in_a_config_is_named(key):
    with pytest.raises(ValueError, match=rf"^CoupledSGD cannot be created .*`{key}`"):
        CoupledSGD.from_config({**CoupledSGD(0.1).get_config(), key: "x"})


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="about JAX's accelerators")
def test_vectors_that_are_updated_together_take_the_same_steps(monkeypatch):
    import jax

    generator = np.random.default_rng(0)
    # 18 vectors of one size do not fit into one kernel; the rest have a size or rank of their own.
    shapes = [(3,)] * 18 + [(4,), (2, 3), ()]
    start = [generator.normal(size=shape).astype("float32") for shape in shapes]
    gradients = [generator.normal(size=shape).astype("float32") for shape in shapes]

    def trained():
        variables = [keras.Variable(value) for value in start]
        optimizer = CoupledSGD(0.1, l2=0.05)
        optimizer.build(variables)
        step = jax.jit(optimizer.stateless_apply)
        values, state = list(start), [each.value for each in optimizer.variables]
        for _ in range(3):
            values, state = step(state, gradients, values)
        text = step.lower(state, gradients, values).as_text()
        return [np.asarray(value) for value in (*values, *state)], text

    alone, text = trained()
    assert "optimization_barrier" not in text
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    together, text = trained()
    assert text.count("optimization_barrier") == 2  # Of 16 and of 2.
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
