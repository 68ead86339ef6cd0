"""A retaining rate that falls during training, printed by a callback, and kept in a file.

python examples/curriculum.py

Prints, on TensorFlow 2.21:

    epoch 1: loss 2.18, retaining rate 0.351
    epoch 2: loss 1.69, retaining rate 0.229
    epoch 3: loss 0.94, retaining rate 0.205
    epoch 4: loss 0.40, retaining rate 0.201
    epoch 5: loss 0.18, retaining rate 0.200
    epoch 6: loss 0.12, retaining rate 0.200
    loaded: 0.200
"""

import pathlib
import tempfile

import keras
from keras import layers

from keras_selectscale import SelectScale, data, exponential_curriculum

EPOCHS, BATCH = 6, 64


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    x, y = digits.train_images / 255, digits.train_labels
    # From 1, the identity, down to 0.2; linear_curriculum falls evenly.
    steps = EPOCHS * data.steps_per_epoch(digits, BATCH)
    rate = exponential_curriculum(0.2, steps=steps)
    model = keras.Sequential(
        [
            keras.Input(digits.input_shape),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            SelectScale(top_rate=0.3, retaining_rate=rate, name="drop"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(digits.classes, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )

    def say(epoch, logs):
        now = float(model.get_layer("drop").current_retaining_rate())
        print(f"epoch {epoch + 1}: loss {logs['loss']:.2f}, retaining rate {now:.3f}")

    callback = keras.callbacks.LambdaCallback(on_epoch_end=say)
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[callback])

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        # The count of steps is in the file, so that more training continues where this one ended.
        again = keras.models.load_model(path)
        print(f"loaded: {float(again.get_layer('drop').current_retaining_rate()):.3f}")


if __name__ == "__main__":
    main()
