"""A custom training loop on TensorFlow with GradientTape: pass `training=True`, and nothing else.

python examples/loop_gradient_tape.py

Prints, on TensorFlow 2.21:

    epoch 1: loss 1.90, retaining rate 0.85
    epoch 2: loss 1.07, retaining rate 0.70
    epoch 3: loss 0.86, retaining rate 0.55
    epoch 4: loss 0.78, retaining rate 0.40
    test error 10.3%
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_selectscale import SelectScale, data, linear_curriculum, models  # noqa: E402

EPOCHS, BATCH = 4, 64


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    steps = data.steps_per_epoch(digits, BATCH)
    # The curriculum counts the steps by itself: one per forward pass in training.
    rate = linear_curriculum(0.4, steps=EPOCHS * steps)
    drop = SelectScale(top_rate=0.2, retaining_rate=rate, seed=1)
    model = models.build("resnet-8", drop=drop, input_shape=digits.input_shape)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(0.003)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    batches = iter(data.training_batches(digits, batch_size=BATCH, seed=0))
    site = model.get_layer("group3_block1_1_drop")
    for epoch in range(EPOCHS):
        losses = [float(step(*next(batches))) for _ in range(steps)]
        now = float(site.current_retaining_rate())
        print(f"epoch {epoch + 1}: loss {sum(losses) / steps:.2f}, retaining rate {now:.2f}")

    right = 0
    for images, labels in data.evaluation_batches(digits, batch_size=500):
        # Without `training=True`, the drops return their inputs.
        right += int(tf.reduce_sum(tf.cast(tf.argmax(model(images), -1) == labels, tf.int32)))
    print(f"test error {100 * (1 - right / digits.test_count):.1f}%")


if __name__ == "__main__":
    main()
