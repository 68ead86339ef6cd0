"""An existing network, fine-tuned with drops and exported without them.

python examples/finetune_digits.py

The network is first trained on the digits 0 to 4, in place of a pretrained network from
keras.applications or KerasHub. Then each step takes a line: load, insert the drops, fit, export.

Prints, on TensorFlow 2.21, among others:

    3 drops
    fine-tuned on all ten digits: test error 1.00%
    as exported, without drops: test error 1.00%
"""

import pathlib
import tempfile

import keras
from keras import layers

from keras_selectscale import SelectScale, data, export, insert_drops

EPOCHS, BATCH = 15, 32


def pretrained(digits: data.ImageData) -> keras.Model:
    """Returns a network of Keras' own layers that classifies the digits 0 to 4."""
    x = inputs = keras.Input(digits.input_shape, name="images")
    for number, filters in enumerate((32, 64, 64)):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"bn{number}")(x)
        x = layers.Activation("relu", name=f"relu{number}")(x)
    x = layers.GlobalMaxPooling2D(name="features")(x)
    model = keras.Model(inputs, layers.Dense(5, name="head")(x))
    known = digits.train_labels < 5
    x, y = scaled(digits.train_images[known]), digits.train_labels[known]
    compiled(model, 3e-3).fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return model


def compiled(model: keras.Model, learning_rate: float) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"])
    return model


def scaled(images):
    return images.astype("float32") / 255 - 0.5


def main() -> None:
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    x, y = scaled(digits.train_images), digits.train_labels
    test = scaled(digits.test_images), digits.test_labels
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pretrained(digits).save(folder / "pretrained.keras")

        model = keras.models.load_model(folder / "pretrained.keras")
        features = model.get_layer("features").output
        model = keras.Model(model.input, layers.Dense(digits.classes, name="digit")(features))
        drop = SelectScale(top_rate=0.2, retaining_rate=0.2, seed=1)
        model = insert_drops(model, drop, after="conv", summary=True)
        compiled(model, 1e-3).fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
        _, accuracy = model.evaluate(*test, verbose=0)
        print(f"fine-tuned on all ten digits: test error {100 * (1 - accuracy):.2f}%")

        # "keras" on every backend; "tf_saved_model", "onnx" and "litert" on TensorFlow.
        report = export(model, folder / "digits.keras", format="keras")
        print(report)
        shipped = compiled(keras.models.load_model(folder / "digits.keras"), 1e-3)
        _, again = shipped.evaluate(*test, verbose=0)
        print(f"as exported, without drops: test error {100 * (1 - again):.2f}%")


if __name__ == "__main__":
    main()
