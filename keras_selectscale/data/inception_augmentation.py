"""What is done to training images at random where they are of varying size."""

import dataclasses
import math
import numbers


@dataclasses.dataclass(frozen=True)
class InceptionAugmentation:
    """What is done to a training image of any size at random.

    A window is cut out whose area is a share of the image's and whose shape varies, and is brought
    to the size that the network takes; half of the windows are mirrored left to right; and the
    colours are shifted along the directions in which those of ImageNet vary, as light does it:

        pixel / 255 + V (a * l),    a ~ Normal(0, lighting), one for each of the 3 directions

    with the eigenvectors V and eigenvalues l of the covariance of ImageNet's colours.

    Args:
        smallest_area: The window's area as a share of the image's is uniform from this to 1; above
            0 and at most 1.
        widest_aspect: The logarithm of width by height is uniform from that of 1 / this to that
            of this; at least 1. Ten windows are drawn, and the first that fits into the image is
            taken; where none does, the largest window of an allowed shape in the centre.
        flip: Whether to mirror, with probability 1/2.
        lighting: Standard deviation of the shift, at least 0; 0 shifts nothing. Grey images are
            never shifted.

    Raises:
        TypeError: Where a value is of another type.
        ValueError: Where it is out of its range.

    Reference:
        Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, Section 6 (the window).
        Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", NIPS
        2012, Section 4.1 (the colours), which Russakovsky et al., IJCV 2015, report as what all
        follow.
    """

    smallest_area: float = 0.08
    widest_aspect: float = 4 / 3
    flip: bool = True
    lighting: float = 0.1

    def __post_init__(self):
        if not isinstance(self.flip, bool):
            raise TypeError(
                "Argument `flip` must be a bool. "
                f"Received: flip={self.flip!r} (of type {type(self.flip).__name__})"
            )
        for name in ("smallest_area", "widest_aspect", "lighting"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise TypeError(
                    f"Argument `{name}` must be a number. "
                    f"Received: {name}={value!r} (of type {type(value).__name__})"
                )
            object.__setattr__(self, name, float(value))
        for name, fits, wanted in (
            ("smallest_area", 0 < self.smallest_area <= 1, "above 0 and at most 1"),
            ("widest_aspect", 1 <= self.widest_aspect < math.inf, "finite and at least 1"),
            ("lighting", 0 <= self.lighting < math.inf, "finite and at least 0"),
        ):
            if not fits:
                raise ValueError(
                    f"Argument `{name}` must be {wanted}. Received: {name}={getattr(self, name)!r}"
                )
