"""Exports of many kinds of models in every format: sizes, and the largest output differences.

python benchmarks/export_table.py [--only NAME]...

Prints a Markdown table. The models are not trained; their weights and the statistics of their batch
normalization are changed at random, so that no layer is the identity.
"""

import contextlib
import os
import pathlib
import tempfile

import click

FORMATS = {"tf_saved_model": "", "onnx": ".onnx", "litert": ".tflite", "keras": ".keras"}


def make_models():
    import keras
    from keras import layers

    from keras_selectscale import Selectout, SelectScale, SpatialScale, models

    def drop():
        return SelectScale(top_rate=0.2, retaining_rate=0.0, seed=1)

    def sequential():
        return keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                layers.Conv2D(32, 3, activation="relu"),
                drop(),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dropout(0.5),
                layers.Dense(10),
            ]
        )

    def nested():
        inner = models.CifarResNet(8, drop=drop())
        inputs = keras.Input((32, 32, 3))
        x = layers.Rescaling(2.0)(inputs)
        return keras.Model(inputs, layers.Softmax()(inner(x)))

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(32, 3)
            self.norm = layers.BatchNormalization()
            self.drop = Selectout(top_rate=0.5, retaining_rate=0.7)
            self.dense = layers.Dense(10)

        def call(self, inputs, training=False):
            x = self.norm(self.conv(inputs), training=training)
            x = self.drop(x, training=True)  # Monte-Carlo drops.
            return self.dense(keras.ops.mean(x, axis=(1, 2)))

    def subclassed():
        model = Subclassed()
        model(keras.ops.zeros((1, 32, 32, 3)))
        return model

    def several():
        image, words = keras.Input((None, None, 3), name="image"), keras.Input((12,), name="words")
        x = SpatialScale(retaining_rate=0.4)(layers.Conv2D(32, 3)(image))
        x = layers.GlobalMaxPooling2D()(x)
        y = layers.GRU(16)(layers.Embedding(50, 8)(words))
        joined = layers.Concatenate()([x, y])
        outputs = {"label": layers.Dense(5)(joined), "score": layers.Dense(1)(joined)}
        return keras.Model({"image": image, "words": words}, outputs)

    apps, shape = keras.applications, (64, 64, 3)
    return {
        "CifarResNet(20) with SelectScale": lambda: models.build("resnet-20", drop=drop()),
        "VGG-16 with SelectScale": lambda: models.build("vgg-16", drop=drop()),
        "Sequential": sequential,
        "nested Functional": nested,
        "subclassed, Monte-Carlo drops": subclassed,
        "two inputs, two outputs, as dicts": several,
        "applications.ResNet50": lambda: apps.ResNet50(weights=None, input_shape=shape),
        "applications.MobileNetV2": lambda: apps.MobileNetV2(shape, weights=None),
    }


def move_weights(model):
    import numpy as np

    generator = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype != "float32":
            continue
        value = weight.numpy()
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(value * generator.uniform(0.5, 1.5, value.shape))
        elif value.ndim == 1:
            weight.assign(value + generator.normal(0, 0.1, value.shape))


@click.command()
@click.option("--only", multiple=True, help="Only models whose names contain this.")
def main(only):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keras_selectscale import export
    from keras_selectscale.exporting import ExportError

    made = make_models()
    chosen = {name: m for name, m in made.items() if not only or any(w in name for w in only)}
    if not chosen:
        raise click.UsageError(f"Option --only must match one of {', '.join(made)}.")
    print("| model | format | bytes | weights' bytes | nodes | largest difference |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, make in chosen.items():
        model = make()
        move_weights(model)
        for format, suffix in FORMATS.items():
            with tempfile.TemporaryDirectory() as folder, held_back():
                try:
                    report = export(model, pathlib.Path(folder) / f"model{suffix}", format)
                    row = (
                        f"{report.bytes:,} | {report.weights_bytes:,} | {report.nodes:,} | "
                        f"{report.largest_difference:.2g}"
                    )
                except (ValueError, ExportError) as error:
                    row = f"refused: {str(error).split(':')[0]} | | |"
            print(f"| {name} | {format} | {row} |", flush=True)


@contextlib.contextmanager
def held_back():
    """Keeps the output of the converters out of the table."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


if __name__ == "__main__":
    main()
