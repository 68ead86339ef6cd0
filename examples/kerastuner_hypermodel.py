"""A search in your own HyperModel with KerasTuner: the drop, its rates and the learning rate.

python examples/kerastuner_hypermodel.py

Prints, on TensorFlow 2.21:

    best: {'drop': 'none', 'learning_rate': 0.03}
    its model: test error 19.80%
"""

import tempfile

import keras
import keras_tuner
from keras import layers

from keras_selectscale import data, tuning


class Small(keras_tuner.HyperModel):
    def build(self, hp):
        drop = tuning.drop_space(hp, methods=("selectscale", "none"))
        x = inputs = keras.Input((8, 8, 1))
        x = layers.Conv2D(32, 3, activation="relu")(x)
        x = x if drop is None else drop(x)
        x = layers.GlobalMaxPooling2D()(x)
        model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
        rate = hp.Choice("learning_rate", [0.003, 0.01, 0.03])
        model.compile(
            keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model


def main():
    digits = data.load("digits")
    x, y = digits.train_images / 255, digits.train_labels
    with tempfile.TemporaryDirectory() as folder:
        # In place of keras_tuner.RandomSearch, with its objective; each trial has two seeds.
        tuner = tuning.DropTuner(
            Small(),
            "random",
            folder,
            trials=4,
            seeds=2,
            objective="val_accuracy",
            keep_weights=True,
            tensorboard=False,
        )
        fit = {"validation_data": (x[700:], y[700:]), "epochs": 8, "batch_size": 64}
        tuner.search(x[:700], y[:700], **fit, verbose=0)
        best = tuner.get_best_hyperparameters()[0]
        print("best:", best.values)
        model = tuner.get_best_models()[0]
        _, accuracy = model.evaluate(digits.test_images / 255, digits.test_labels, verbose=0)
        print(f"its model: test error {100 * (1 - accuracy):.2f}%")


if __name__ == "__main__":
    main()
