"""A Functional model with a shortcut, SelectScale and a selective GaussianDropout, on the digits.

python examples/functional.py

Prints, on TensorFlow 2.21:

    drops: ['select_scale', 'selective']
    test error 1.89%
"""

import keras
from keras import layers

from keras_selectscale import Selective, SelectScale, data


def block(x, filters, drop):
    """Returns a residual block; the drop acts on the residual branch, before the addition."""
    shortcut = layers.Conv2D(filters, 1)(x)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.ReLU()(x)
    return layers.Add()([shortcut, drop(x)])


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    inputs = keras.Input(digits.input_shape)
    x = block(inputs, 32, SelectScale(top_rate=0.2, retaining_rate=0.4))
    x = layers.MaxPooling2D()(x)
    # Any drop of Keras becomes selective: its noise reaches the top 20 % of the feature maps.
    x = block(x, 64, Selective(layers.GaussianDropout(0.2), top_rate=0.2))
    x = layers.GlobalMaxPooling2D()(x)
    model = keras.Model(inputs, layers.Dense(digits.classes, activation="softmax")(x))

    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(digits.train_images / 255, digits.train_labels, epochs=15, verbose=0)
    _, accuracy = model.evaluate(digits.test_images / 255, digits.test_labels, verbose=0)
    print(f"drops: {[layer.name for layer in model.layers if hasattr(layer, 'top_rate')]}")
    print(f"test error {100 * (1 - accuracy):.2f}%")


if __name__ == "__main__":
    main()
