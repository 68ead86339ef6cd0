"""Models that the tests of the exports share."""

import keras
import numpy as np

from keras_selectscale import Selectout, SelectScale, SpatialScale, linear_curriculum
from keras_selectscale.models import CifarResNet
from keras_selectscale.models.dtype_policy import dtype_policy

layers = keras.layers


def scheduled_model():
    """Returns a network with a drop at every site, each of which counts its steps."""
    drop = SelectScale(top_rate=0.3, retaining_rate=linear_curriculum(0.0, 10), seed=1)
    return moved(CifarResNet(8, input_shape=(8, 12, 1), drop=drop))


def sequential():
    """Returns a trained and compiled model without names, which was built by a call."""
    model = keras.Sequential(
        [
            layers.Conv1D(4, 3),
            SelectScale(top_rate=0.5, retaining_rate=0.0),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(2),
        ]
    )
    model.build((None, 9, 2))
    model.compile("adam", "mse")
    model.fit(np.ones((4, 9, 2), "float32"), np.ones((4, 2)), verbose=0)
    return moved(model)


def monte_carlo():
    """Returns a Functional model whose drops are called with `training=True`."""
    inputs = keras.Input((8, 12, 4), name="images")
    x = layers.Conv2D(6, 3)(inputs)
    x = Selectout(top_rate=0.5, retaining_rate=0.5)(x, training=True)
    x = layers.Dropout(0.5)(x, training=True)
    return moved(keras.Model(inputs, layers.GlobalAveragePooling2D(name="means")(x)))


def nested():
    """Returns a model with models inside, of sizes that are left free."""
    inner = keras.Sequential([layers.Conv2D(4, 3), SpatialScale(retaining_rate=0.2)])
    images = keras.Input((None, None, 3))
    middle = keras.Model(images, layers.Activation("relu")(inner(images)))
    outer = keras.Input((None, None, 3), name="photo")
    return moved(keras.Model(outer, layers.GlobalMaxPooling2D()(middle(outer))))


def several():
    """Returns a model of two inputs and three outputs, two of one shared layer, in lists."""
    first, second = keras.Input((3,)), keras.Input((3,), name="class")  # A word of Python's.
    shared = layers.Dense(2, name="shared")
    outputs = [shared(first), shared(second), layers.Subtract(name="apart")([first, second])]
    return moved(keras.Model([first, second], outputs))


def dicts():
    """Returns a model that takes and gives dicts, of other dtypes too."""
    image = keras.Input((6, 6, 2), dtype="uint8", name="image")
    words = keras.Input((5,), dtype="int32", name="words")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    y = layers.GRU(3)(layers.Embedding(7, 4)(words))
    joined = layers.Concatenate()([layers.GaussianDropout(0.5)(x), y])
    outputs = {"label": layers.Dense(3)(joined), "score": layers.Dense(1)(joined)}
    return moved(keras.Model({"image": image, "words": words}, outputs))


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """A model of code, which calls a drop with `training=True` and another in a wrapper."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3)
        self.blocks = [scheduled_block(), scheduled_block()]
        self.drop = Selectout(top_rate=0.5, retaining_rate=0.5)
        self.steps = layers.TimeDistributed(layers.Dropout(0.5))

    def call(self, inputs, training=False):
        x = self.drop(self.conv(inputs["image"]), training=True)
        for block in self.blocks:
            x = block(x, training=training)
        return {"maps": x, "rest": [self.steps(inputs["steps"], training=True)]}


def scheduled_block():
    """Returns a nested model with a drop that counts its calls."""
    rate = linear_curriculum(0.0, 10)
    return keras.Sequential(
        [layers.BatchNormalization(), SelectScale(top_rate=0.5, retaining_rate=rate)]
    )


def subclassed():
    """Returns a subclassed model, called once and trained a step."""
    model = Subclassed()
    x = {"image": np.ones((2, 6, 7, 3), "float32"), "steps": np.ones((2, 3, 4), "float32")}
    model(x, training=True)
    return moved(model)


def in_bfloat16():
    """Returns a network that computes in bfloat16."""
    with dtype_policy("mixed_bfloat16"):
        return scheduled_model()


def fixed_batch():
    """Returns a model made for batches of 4."""
    inputs = keras.Input(batch_shape=(4, 5, 3))
    x = SpatialScale(retaining_rate=0.2)(inputs)
    return moved(keras.Model(inputs, layers.Dense(2, name="out")(layers.Flatten()(x))))


def best_two():
    """Returns a model that ranks by itself, behind a drop."""
    inputs = keras.Input((4, 3))
    x = layers.Flatten()(SelectScale(top_rate=0.5, retaining_rate=0.0)(inputs))
    return keras.Model(inputs, keras.ops.top_k(layers.Dense(5)(x), 2)[0])


def recurrent():
    """Returns a model whose recurrent layers drop inside, one of which keeps its state."""
    inputs = keras.Input(batch_shape=(2, 5, 3))
    x = layers.LSTM(4, return_sequences=True, dropout=0.5)(inputs)
    x = layers.GRU(3, stateful=True, recurrent_dropout=0.5)(x)
    return moved(keras.Model(inputs, x))


MODELS = {
    made.__name__: made
    for made in (
        scheduled_model,
        sequential,
        monte_carlo,
        nested,
        several,
        dicts,
        subclassed,
        in_bfloat16,
        fixed_batch,
        best_two,
        recurrent,
    )
}


def moved(model):
    """Returns the model with weights moved at random: none of its layers is an identity."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in weight.dtype and "training_calls" not in weight.path:
            value = keras.ops.convert_to_numpy(weight.value)
            weight.assign(value * generator.uniform(0.7, 1.3, value.shape) + 0.01)
    return model
