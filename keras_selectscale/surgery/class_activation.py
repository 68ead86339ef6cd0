"""Class activation maps: where in an image a classifier finds the evidence for a class."""

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_selectscale.checks import as_integer, shown, type_error, value_error
from keras_selectscale.object_checks import as_instance, as_positive_integer
from keras_selectscale.surgery import drop_kinds

# Layers behind the pooling that change nothing in inference, or only the probabilities.
SHAPES = (keras.layers.Flatten, keras.layers.Reshape, keras.layers.InputLayer)
ENDS = (keras.layers.Activation, keras.layers.Softmax)
LARGEST_BATCH = 2**31 - 1


class ActivationMaps(NamedTuple):
    """Class activation maps of a batch of images.

    Attributes:
        maps: float32 of shape (images, height, width), at the resolution of the last feature maps.
        classes: int64 of shape (images,), the class of each map.
        probabilities: float32 of shape (images,), the probability of that class.
    """

    maps: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray


def class_activation_maps(
    model: keras.Model, images: Any, classes: Any = None, *, batch_size: int = 32
) -> ActivationMaps:
    """Returns the class activation map of each image for its predicted class or a given one.

    Use them to see which parts of an image a network uses: a network that has found more patterns
    has larger maps (Figures 1 and 5 of the paper). For feature maps f and the weights w of the
    dense layer, the map of class c is

        M(i, j) = sum over channels k of w[k, c] * f[k](i, j)

    whose mean over all positions, plus the bias, is the logit of the class.

    Args:
        model: A Functional or Sequential classifier that ends in `GlobalAveragePooling2D` and one
            `Dense` layer, with drops, reshapes and a softmax between or behind them.
        images: Images as the model takes them, of shape (images, height, width, channels) or, if
            the model is `channels_first`, (images, channels, height, width).
        classes: `None` for the predicted classes, one class for all images, or one for each.
        batch_size: Number of images in one call of the model.

    Returns:
        An `ActivationMaps`: `maps`, `classes`, `probabilities`, as NumPy arrays.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the model does not end as described, or a class is out of range.

    Example:

    ```python
    maps, classes, probabilities = class_activation_maps(model, images)
    ```

    Reference:
        Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
    """
    return ClassActivation(model)(images, classes, batch_size=batch_size)


class ClassActivation:
    """Computes class activation maps with a model that is taken apart and compiled once.

    Args:
        model: As `class_activation_maps` takes it, with the same errors.
    """

    def __init__(self, model: keras.Model):
        as_instance("model", model, keras.Model, "a keras.Model")
        pooling, self.dense = _ends(model)
        self.is_channels_first = pooling.data_format == "channels_first"
        self.model = keras.Model(model.inputs, [pooling.input, model.outputs[0]])
        self.classes = model.outputs[0].shape[-1]

    def __call__(self, images: Any, classes: Any = None, *, batch_size: int = 32) -> ActivationMaps:
        """Returns the maps, as `class_activation_maps` does."""
        size = as_positive_integer("batch_size", batch_size, LARGEST_BATCH)
        shape = getattr(images, "shape", None)
        if shape is None or len(shape) != 4 or shape[0] == 0:
            raise value_error("images", "an array of at least one image, of rank 4", images)
        chosen = self._as_classes(classes, int(shape[0]))
        features, outputs = self.model.predict(images, batch_size=size, verbose=0)
        features = np.asarray(features, "float32")
        if self.is_channels_first:
            features = np.moveaxis(features, 1, -1)
        probabilities = _probabilities(np.asarray(outputs, "float32"))
        if chosen is None:
            chosen = probabilities.argmax(-1)
        kernel = keras.ops.convert_to_numpy(keras.ops.cast(self.dense.kernel, "float32"))
        maps = np.einsum("nhwk,kn->nhw", features, kernel[:, chosen])
        return ActivationMaps(maps, chosen, probabilities[np.arange(len(chosen)), chosen])

    def _as_classes(self, classes: Any, count: int) -> np.ndarray | None:
        if classes is None:
            return None
        try:
            values = np.asarray(classes)
        except Exception:
            raise type_error("classes", "None, an integer or integers", classes) from None
        if not np.issubdtype(values.dtype, np.integer):
            raise type_error("classes", "None, an integer or integers", classes)
        if values.ndim > 1 or (values.ndim == 1 and len(values) != count):
            raise value_error("classes", f"one class, or one for each of {count} images", classes)
        for value in np.unique(values):
            as_integer("classes", int(value), 0, self.classes - 1)
        return np.broadcast_to(values.astype("int64"), count)


def _ends(model: keras.Model) -> tuple[keras.Layer, keras.layers.Dense]:
    """Returns the pooling and the dense layer at the end of a model."""
    expected = "a model that ends in GlobalAveragePooling2D and one Dense layer"
    layers = getattr(model, "layers", [])
    poolings = [one for one in layers if isinstance(one, keras.layers.GlobalAveragePooling2D)]
    if not poolings or len(getattr(model, "outputs", None) or []) != 1:
        raise value_error("model", expected, model)
    try:
        end = keras.Model(poolings[-1].output, model.outputs[0])
    except (AttributeError, ValueError) as error:
        raise value_error("model", f"{expected} ({error})", model) from None
    dense = [layer for layer in end.layers if isinstance(layer, keras.layers.Dense)]
    others = [
        layer
        for layer in end.layers
        if not isinstance(layer, (keras.layers.Dense, *SHAPES, *ENDS))
        and not drop_kinds.is_drop(layer)
    ]
    if len(dense) != 1 or others:
        found = [f"{type(layer).__name__} {layer.name!r}" for layer in [*dense, *others]]
        raise ValueError(
            f"Argument `model` must be {expected}. Received: model={shown(model)}, in which "
            f"{', '.join(found) or 'nothing'} follows the pooling"
        )
    if end.layers.index(dense[0]) > min(
        (i for i, layer in enumerate(end.layers) if isinstance(layer, ENDS)), default=len(layers)
    ):
        raise value_error("model", f"{expected}, without an activation between them", model)
    return poolings[-1], dense[0]


def _probabilities(outputs: np.ndarray) -> np.ndarray:
    """Returns outputs that are probabilities as they are, and the softmax of logits."""
    sums = outputs.sum(-1)
    # A half precision rounds each probability.
    if (outputs >= 0).all() and np.allclose(sums, 1, atol=0.02):
        return outputs
    powers = np.exp(outputs - outputs.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
