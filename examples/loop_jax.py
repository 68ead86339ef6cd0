"""A custom training loop on JAX: `stateless_call` carries the random states of the drops along.

python examples/loop_jax.py

The random state of a drop is one of the model's non-trainable variables. A jitted step takes them
and returns them, so that each step draws anew.

Prints:

    epoch 1: loss 1.24
    epoch 2: loss 0.33
    epoch 3: loss 0.16
    epoch 4: loss 0.09
    test error 2.4%
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402

from keras_selectscale import SelectScale, data, models  # noqa: E402

EPOCHS, BATCH = 4, 64


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    x, y = digits.train_images.astype("float32") / 255, digits.train_labels
    drop = SelectScale(top_rate=0.2, retaining_rate=0.4, seed=1)
    model = models.build("resnet-8", drop=drop, input_shape=digits.input_shape)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(0.003)
    optimizer.build(model.trainable_variables)

    def loss_and_state(trainable, other, images, labels):
        logits, other = model.stateless_call(trainable, other, images, training=True)
        return loss_of(labels, logits), other

    @jax.jit
    def step(state, images, labels):
        trainable, other, slots = state
        gradient_of = jax.value_and_grad(loss_and_state, has_aux=True)
        (loss, other), gradients = gradient_of(trainable, other, images, labels)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return (trainable, other, slots), loss

    variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state = tuple([variable.value for variable in each] for each in variables)
    rng = np.random.default_rng(0)
    for epoch in range(EPOCHS):
        losses = []
        for chosen in np.split(rng.permutation(len(x))[: len(x) // BATCH * BATCH], len(x) // BATCH):
            state, loss = step(state, x[chosen], y[chosen])
            losses.append(float(loss))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.2f}")

    for own, values in zip(variables, state, strict=True):
        for variable, value in zip(own, values, strict=True):
            variable.assign(value)
    right = np.argmax(model.predict(digits.test_images / 255, verbose=0), -1) == digits.test_labels
    print(f"test error {100 * (1 - right.mean()):.1f}%")


if __name__ == "__main__":
    main()
