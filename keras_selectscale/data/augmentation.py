"""What is done to training images at random."""

import dataclasses

from keras_selectscale.data.arguments import as_integer


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to a training image at random, before normalisation.

    The image gets a border of pixels of value 0 (black, as in the papers' pipelines, and so not
    the mean), a window of its own size is cut out at a random place, and half of the windows are
    mirrored left to right.

    Args:
        padding: Width of the border on each side, in pixels, at least 0. The window starts at one
            of `2 * padding + 1` rows and as many columns, each as likely as the others.
        flip: Whether to mirror, with probability 1/2. Only where a mirrored image is one of the
            same class: a mirrored digit is another sign.

    Raises:
        TypeError: Where `padding` is no integer or `flip` no bool.
        ValueError: Where `padding` is negative.
    """

    padding: int
    flip: bool

    def __post_init__(self):
        object.__setattr__(self, "padding", as_integer("padding", self.padding, 0))
        if not isinstance(self.flip, bool):
            raise TypeError(
                "Argument `flip` must be a bool. "
                f"Received: flip={self.flip!r} (of type {type(self.flip).__name__})"
            )
