"""Everything on JAX: `fit`, a recipe in a run folder, and a file that loads on any backend.

python examples/jax_fit.py   (needs no TensorFlow)

OUTPUT
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import pathlib  # noqa: E402
import tempfile  # noqa: E402

import keras  # noqa: E402

from keras_selectscale import SelectScale, data, export, models  # noqa: E402
from keras_selectscale.training import Recipe, RunFolder, train  # noqa: E402


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    model = models.build(
        "resnet-8",
        drop=SelectScale(top_rate=0.2, retaining_rate=0.4, seed=1),
        input_shape=digits.input_shape,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss, metrics=["accuracy"])
    x, y = digits.train_images / 255, digits.train_labels
    model.fit(x, y, batch_size=64, epochs=4, verbose=0)
    _, accuracy = model.evaluate(digits.test_images / 255, digits.test_labels, verbose=0)
    print(f"fit: test error {100 * (1 - accuracy):.1f}%")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        report = export(model, folder / "model.keras", format="keras")
        print(f"exported without drops: {report.passed}, {report.nodes} layers")

        # The paper's recipe, with its images on the device.
        recipe = Recipe(
            network="resnet-8", dataset="digits", drop="selectscale", epochs=4, batch_size=64
        )
        run = RunFolder(folder / "run")
        run.open(recipe)
        result = train(recipe, run, digits, progress=None)
        print(f"recipe: test error {result['test_error']:.1f}%")


if __name__ == "__main__":
    main()
