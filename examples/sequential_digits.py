"""A Sequential model with SelectScale, from training to a file and back, on scikit-learn's digits.

python examples/sequential_digits.py

Prints, on TensorFlow 2.21, after the lines of each epoch:

    test error 6.01%
    loaded again: test error 6.01%
"""

import pathlib
import tempfile

import keras

from keras_selectscale import SelectScale, data, linear_curriculum

EPOCHS, BATCH = 20, 64


def main() -> None:
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    steps = data.steps_per_epoch(digits, BATCH)
    rate = linear_curriculum(0.2, steps=EPOCHS * steps)
    model = keras.Sequential(
        [
            keras.Input(digits.input_shape),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            SelectScale(top_rate=0.2, retaining_rate=rate),
            keras.layers.Conv2D(64, 3, padding="same", strides=2, activation="relu"),
            SelectScale(top_rate=0.2, retaining_rate=rate),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(digits.classes),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        data.training_batches(digits, batch_size=BATCH, seed=0),
        steps_per_epoch=steps,
        epochs=EPOCHS,
        shuffle=False,
        verbose=2,
    )
    test = data.evaluation_batches(digits, batch_size=500)
    _, accuracy = model.evaluate(test, verbose=0)
    print(f"test error {100 * (1 - accuracy):.2f}%")

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "digits.keras"
        model.save(path)
        # Keras knows the layers because this package is imported.
        _, again = keras.models.load_model(path).evaluate(test, verbose=0)
    print(f"loaded again: test error {100 * (1 - again):.2f}%")


if __name__ == "__main__":
    main()
