"""Everything on JAX: `fit`, and a file without drops that loads on any backend.

python examples/jax_fit.py

It needs no TensorFlow.

Prints:

    fit: test error 2.8%
    exported without drops: True, 5 layers
    the file computes the same: True
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import pathlib  # noqa: E402
import tempfile  # noqa: E402

import keras  # noqa: E402

from keras_selectscale import SelectScale, data, export  # noqa: E402


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    model = keras.Sequential(
        [
            keras.Input(digits.input_shape),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            SelectScale(top_rate=0.2, retaining_rate=0.4, seed=1),
            keras.layers.Conv2D(64, 3, activation="relu"),
            SelectScale(top_rate=0.2, retaining_rate=0.4, seed=2),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = digits.train_images / 255, digits.train_labels
    model.fit(x, y, batch_size=32, epochs=15, verbose=0)
    _, accuracy = model.evaluate(digits.test_images / 255, digits.test_labels, verbose=0)
    print(f"fit: test error {100 * (1 - accuracy):.1f}%")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        report = export(model, folder / "model.keras", format="keras")
        print(f"exported without drops: {report.passed}, {report.nodes} layers")

        loaded = keras.models.load_model(folder / "model.keras")
        same = (loaded.predict(x[:8], verbose=0) == model.predict(x[:8], verbose=0)).all()
        print(f"the file computes the same: {same}")


if __name__ == "__main__":
    main()
