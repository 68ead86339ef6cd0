"""The convolutions of a training step by TensorFlow and by PyTorch, which take turns.

Both libraries leave them to oneDNN. Their times bound what any training on these libraries can
reach on a CPU, whatever surrounds the convolutions. Processor time on one thread, in milliseconds.

    python benchmarks/convolutions.py --rounds 21
"""

import argparse
import os
import statistics
import time

os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}  # Read at the import.

import tensorflow as tf
import torch

# The 3x3 convolutions within a group of blocks: batch, height and width, channels.
SHAPES = {
    "ResNet-20": ((128, 32, 16), (128, 16, 32), (128, 8, 64)),
    "WRN-20-4": ((64, 32, 64), (64, 16, 128), (64, 8, 256)),
}
DIRECTIONS = ("forward", "gradient of the input", "gradient of the filter")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=21)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':40} TensorFlow PyTorch")
    for network, shapes in SHAPES.items():
        whole = [0.0, 0.0]
        for shape in shapes:
            sides = of_tensorflow(*shape, chosen.dtype), of_pytorch(*shape, chosen.dtype)
            for direction, *both in zip(DIRECTIONS, *sides, strict=True):
                times = [[spent(each) for each in both] for _ in range(chosen.rounds + 2)][2:]
                medians = [statistics.median(each) for each in zip(*times, strict=True)]
                whole = [total + each for total, each in zip(whole, medians, strict=True)]
                ratio = statistics.median(one / other for one, other in times)
                report(f"{shape} {direction}", medians, ratio)
        report(network, whole, whole[0] / whole[1])


def report(name, milliseconds, ratio):
    """Prints a line of the table."""
    print(f"{name:40} {milliseconds[0]:10.2f} {milliseconds[1]:7.2f} {ratio:6.2f}")


def spent(function):
    """Returns the milliseconds of processor time of a call."""
    start = time.process_time()
    function()
    return 1e3 * (time.process_time() - start)


def of_tensorflow(batch, size, channels, dtype):
    """Returns the functions that compute the three directions, compiled into graphs."""
    maps, upstream = (tf.cast(tf.random.normal((batch, size, size, channels)), dtype) for _ in "xg")
    kernel = tf.cast(tf.random.normal((3, 3, channels, channels)), dtype)
    same = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    @tf.function
    def forward():
        return tf.nn.conv2d(maps, kernel, 1, "SAME")

    @tf.function
    def of_input():
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=maps.shape, filter=kernel, out_backprop=upstream, **same
        )

    @tf.function
    def of_filter():
        return tf.raw_ops.Conv2DBackpropFilter(
            input=maps, filter_sizes=kernel.shape, out_backprop=upstream, **same
        )

    return forward, of_input, of_filter


def of_pytorch(batch, size, channels, dtype):
    """Returns the functions that compute the three directions, channels last."""

    def tensor(*shape):
        return torch.randn(shape).to(getattr(torch, dtype)).to(memory_format=torch.channels_last)

    maps, upstream = (tensor(batch, channels, size, size) for _ in "xg")
    kernel = tensor(channels, channels, 3, 3)

    def backward(*wanted):
        return lambda: torch.ops.aten.convolution_backward(
            *(upstream, maps, kernel, [0], [1, 1], [1, 1], [1, 1], False, [0, 0], 1), [*wanted]
        )

    return (
        lambda: torch.nn.functional.conv2d(maps, kernel, padding=1),
        backward(True, False, False),
        backward(False, True, False),
    )


if __name__ == "__main__":
    main()
