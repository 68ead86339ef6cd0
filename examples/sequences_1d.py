"""Feature maps of one axis: a Conv1D network reads each digit as a sequence of 64 pixels.

python examples/sequences_1d.py

All layers take inputs of rank 3 (sequences), 4 (images) and 5 (volumes).

Prints, on TensorFlow 2.21:

    test error 4.34%
"""

import keras
from keras import layers

from keras_selectscale import DropPath, Selectout, SelectScale, data


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    x = digits.train_images.reshape(-1, 64, 1) / 255
    test = digits.test_images.reshape(-1, 64, 1) / 255

    inputs = keras.Input((64, 1))
    y = layers.Conv1D(32, 9, padding="same", activation="relu")(inputs)
    y = SelectScale(top_rate=0.2, retaining_rate=0.4)(y)
    y = layers.MaxPooling1D(2)(y)
    # The branch is left out for one sample in ten.
    branch = layers.Conv1D(32, 9, padding="same", activation="relu")(y)
    y = layers.Add()([y, DropPath(retaining_rate=0.9)(branch)])
    y = layers.Conv1D(64, 9, padding="same", activation="relu")(y)
    y = Selectout(top_rate=0.2, retaining_rate=0.9)(y)
    y = layers.Flatten()(layers.MaxPooling1D(4)(y))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(y))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, digits.train_labels, epochs=15, verbose=0)
    _, accuracy = model.evaluate(test, digits.test_labels, verbose=0)
    print(f"test error {100 * (1 - accuracy):.2f}%")


if __name__ == "__main__":
    main()
