"""Training on a dataset of TensorFlow Datasets, here one that is written from the digits first.

python examples/tfds_dataset.py

In place of the function `prepare`, your dataset is prepared by
`tfds.builder("cifar10").download_and_prepare()`, and `data.load("cifar10")` finds it.

Prints, on TensorFlow 2.21:

    898 899 (8, 8, 1) 10
    a batch: (64, 8, 8, 1) (64,) mean -0.0
    test error after 5 epochs: 14.5%
"""

import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_selectscale import data
from keras_selectscale.training import Recipe, RunFolder, train


def prepare(folder):
    """Writes the digits as the TensorFlow dataset `my_digits`."""
    digits = data.load("digits")
    splits = {}
    for split in ("train", "test"):
        images, labels = digits.arrays(split)
        splits[split] = tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})
    features = {"image": tfds.features.Image(shape=(8, 8, 1)), "label": 10}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="my_digits",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {**features, "label": tfds.features.ClassLabel(num_classes=10)}
        ),
        split_datasets=splits,
        data_dir=folder,
    )


def main():
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        images = data.load("tfds:my_digits", data_dir=folder)
        print(images.train_count, images.test_count, images.input_shape, images.classes)
        batch, labels = next(iter(data.training_batches(images, batch_size=64, seed=0)))
        print("a batch:", batch.shape, labels.shape, f"mean {np.mean(batch):.1f}")

        recipe = Recipe(
            network="resnet-8",
            dataset="tfds:my_digits",
            drop="selectscale",
            epochs=5,
            batch_size=64,
        )
        run = RunFolder(f"{folder}/run")
        run.open(recipe)
        result = train(recipe, run, images, progress=None)
        print(f"test error after {result['epochs']} epochs: {result['test_error']:.1f}%")


if __name__ == "__main__":
    main()
