"""What is said of an image that cannot be used."""

import contextlib
import re
from collections.abc import Iterator

from keras_selectscale.data.decoding import decode
from keras_selectscale.data.encoded_images import EncodedImages

START = "Cannot use the image "


def explain(images: EncodedImages, number: int, classes: int, channels: int) -> str:
    """Returns in one line why an image of a split cannot be used.

    Args:
        images: The split.
        number: Of the image.
        classes: Number of classes.
        channels: 3 or 1.
    """
    try:
        encoded, label = images.read(number)
        reason = f"its label is {label} and not from 0 to {classes - 1}"
        if 0 <= label < classes:
            decode(encoded, channels)
            reason = "it could not be read a moment ago"
    except Exception as error:  # Whatever it is, it is the reason.
        reason = str(error) or type(error).__name__
    return " ".join(f"{START}{images.describe(number)}: {reason}".split("\n"))


@contextlib.contextmanager
def image_errors() -> Iterator[None]:
    """Turns TensorFlow's error about a streamed image into one line that names the file.

    What goes wrong while a network trains comes out of tf.data with a page of its own. Around
    `fit`, `evaluate` or a loop over batches:

        with image_errors():
            model.fit(training_batches(data, batch_size=256, seed=0), ...)

    Raises:
        OSError: Where an image cannot be read or decoded, or its label is out of range.
    """
    try:
        yield
    except Exception as error:
        found = re.search(f"{START}.*", str(error))
        if found is None or isinstance(error, OSError):
            raise
        raise OSError(found.group()) from None
