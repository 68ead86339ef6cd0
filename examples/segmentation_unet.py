"""Segmentation with a small U-Net: which pixels of a noisy image belong to the digit?

python examples/segmentation_unet.py

Prints, on TensorFlow 2.21:

    drops: 10
    intersection over union: 0.80; of a threshold on the pixels: 0.68
"""

import keras
import numpy as np
from keras import layers

from keras_selectscale import SelectScale, data


def convolved(x, filters):
    """Returns two convolutions, each with a drop behind its activation."""
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = SelectScale(top_rate=0.2, retaining_rate=0.4)(x)
    return x


def unet(input_shape):
    images = keras.Input(input_shape)
    fine = convolved(images, 16)
    middle = convolved(layers.MaxPooling2D()(fine), 32)
    coarse = convolved(layers.MaxPooling2D()(middle), 64)
    x = layers.Concatenate()([layers.UpSampling2D()(coarse), middle])
    x = layers.Concatenate()([layers.UpSampling2D()(convolved(x, 32)), fine])
    return keras.Model(images, layers.Conv2D(1, 1, activation="sigmoid")(convolved(x, 16)))


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    rng = np.random.default_rng(0)

    def noisy(images):
        clean = images / 255
        return clean + rng.normal(0, 0.3, clean.shape), clean > 0.4

    x, masks = noisy(digits.train_images)
    test_x, test_masks = noisy(digits.test_images)
    model = unet(digits.input_shape)
    metric = keras.metrics.BinaryIoU(target_class_ids=[1], name="iou")
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy", metrics=[metric])
    model.fit(x, masks, epochs=8, batch_size=64, verbose=0)
    _, iou = model.evaluate(test_x, test_masks, verbose=0)
    guess = (test_x > 0.4)[test_masks].sum() / ((test_x > 0.4) | test_masks).sum()
    print(f"drops: {sum(isinstance(layer, SelectScale) for layer in model.layers)}")
    print(f"intersection over union: {iou:.2f}; of a threshold on the pixels: {guess:.2f}")


if __name__ == "__main__":
    main()
