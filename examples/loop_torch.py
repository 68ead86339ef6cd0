"""A plain PyTorch training loop: a Keras model is a `torch.nn.Module` there, drops included.

python examples/loop_torch.py

Prints:

    epoch 1: loss 1.05
    epoch 2: loss 0.30
    test error 4.0%
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras  # noqa: E402
import torch  # noqa: E402

from keras_selectscale import SelectScale, data, models  # noqa: E402

EPOCHS, BATCH = 2, 64


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    x = torch.tensor(digits.train_images, dtype=torch.float32) / 255
    y = torch.tensor(digits.train_labels)
    drop = SelectScale(top_rate=0.2, retaining_rate=0.4, seed=1)
    model = models.build("resnet-8", drop=drop, input_shape=digits.input_shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)

    for epoch in range(EPOCHS):
        losses = []
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            # Keras' argument decides, not `model.train()` and `model.eval()`.
            loss = torch.nn.functional.cross_entropy(model(x[chosen], training=True), y[chosen])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.2f}")

    with torch.no_grad():
        images = torch.tensor(digits.test_images, dtype=torch.float32) / 255
        right = model(images, training=False).argmax(-1).cpu() == torch.tensor(digits.test_labels)
    print(f"test error {100 * (1 - right.float().mean().item()):.1f}%")


if __name__ == "__main__":
    main()
