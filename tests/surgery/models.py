"""The models that the tests cut at, and what they read off them."""

import keras
import numpy as np
from keras import layers, ops

IMAGE = (12, 10, 3)


def images(count=3, shape=IMAGE, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")


def randomize(model, seed=0):
    """Gives every weight a value of its own: with zeros and ones a lost one would not show."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.path.split("/")[-1]
        low, high = (0.5, 1.5) if name in ("gamma", "moving_variance") else (-0.4, 0.4)
        if keras.backend.is_float_dtype(weight.dtype):
            weight.assign(generator.uniform(low, high, weight.shape))
    return model


def small():
    """A Functional model with a residual block: conv-bn-relu, then conv-bn, add, relu."""
    inputs = keras.Input(IMAGE, name="images")
    x = layers.Conv2D(4, 3, padding="same", name="a_conv")(inputs)
    x = layers.BatchNormalization(name="a_bn")(x)
    x = shortcut = layers.ReLU(name="a_relu")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="b_conv")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="c_conv")(x)
    x = layers.BatchNormalization(name="c_bn")(x)
    x = layers.Add(name="add")([x, shortcut])
    x = ops.relu(x)
    x = layers.SeparableConv2D(6, 3, strides=2, name="d_conv")(x)
    x = ops.tanh(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return randomize(keras.Model(inputs, layers.Dense(3, name="logits")(x), name="small"))


def sequential():
    return randomize(
        keras.Sequential(
            [
                keras.Input(IMAGE),
                layers.Conv2D(4, 3, name="a_conv"),
                layers.BatchNormalization(name="a_bn"),
                layers.Activation("relu", name="a_relu"),
                layers.Conv2D(5, 3, activation="relu", name="b_conv"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ],
            name="sequential",
        )
    )


def many_ways():
    """Two inputs, three outputs in a nest, a layer and a nested model called twice, keywords."""
    left = keras.Input((8, 8, 4), name="left")
    right = keras.Input((8, 8, 4), name="right")
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    inner_inputs = keras.Input((8, 8, 4))
    inner = keras.Model(
        inner_inputs,
        keras.Sequential(
            [layers.Conv2D(4, 3, padding="same", name="deep"), layers.ReLU(name="deep_relu")],
            name="stack",
        )(inner_inputs),
        name="inner",
    )
    one, other = shared(left), shared(right)
    one, other = inner(one), inner(other)
    both = layers.Attention(name="attention")(
        [ops.reshape(one, (-1, 64, 4)), ops.reshape(other, (-1, 64, 4))]
    )
    total = ops.add(x1=one, x2=other) * 2.0
    outputs = {
        "maps": layers.Conv2D(2, 1, name="last")(total),
        "rest": [layers.Flatten(name="flat")(both), layers.GlobalMaxPooling2D(name="top")(total)],
    }
    model = keras.Model({"left": left, "right": right}, outputs, name="many_ways")
    return randomize(model)


def many_inputs():
    return {"left": images(2, (8, 8, 4), 1), "right": images(2, (8, 8, 4), 2)}


def walk(model):
    """Returns the graph node by node: (layer, the layers that its inputs come from)."""
    graph = []
    waiting, seen = [x._keras_history for x in model.outputs], set()
    while waiting:
        operation, number, _ = waiting.pop()
        if (id(operation), number) in seen:
            continue
        seen.add((id(operation), number))
        sources = [x._keras_history for x in operation._inbound_nodes[number].input_tensors]
        graph.append((operation.name, tuple(source.operation.name for source in sources)))
        waiting += sources
    return graph


def everything_in(model):
    """Returns every layer in a model, found by the attributes that hold it."""
    found, waiting = [], [model]
    while waiting:
        layer = waiting.pop()
        if any(layer is other for other in found):
            continue
        found.append(layer)
        waiting += layer._layers
    return found


def assert_equal_to_the_bit(model, other, x):
    for call in (lambda m: m(x, training=False), lambda m: m.predict(x, verbose=0)):
        theirs, ours = (keras.tree.flatten(call(m)) for m in (model, other))
        assert len(theirs) == len(ours)
        for one, two in zip(theirs, ours, strict=True):
            one, two = ops.convert_to_numpy(one), ops.convert_to_numpy(two)
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


def by_layer(model):
    """Returns the weights of all layers, found by the layers' names."""
    return {
        (layer.name, number): value
        for layer in everything_in(model)
        if not layer._layers
        for number, value in enumerate(layer.get_weights())
    }
