"""Class activation maps: where in an image a classifier finds the evidence for a class."""

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import ArgumentValueError, as_integer, shown, type_error, value_error
from keras_selectscale.object_checks import as_instance, as_positive_integer
from keras_selectscale.surgery import drop_kinds, graph

# Layers behind the pooling that change nothing in inference, or only the probabilities.
SHAPES = (keras.layers.Flatten, keras.layers.Reshape)
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


@named_arguments
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
        An `ActivationMaps` with `maps`, `classes` and `probabilities` as NumPy arrays.

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
        features, pooling, self.dense = _ends(model)
        self.is_channels_first = pooling.data_format == "channels_first"
        whole = graph.functional(model)
        self.model = keras.Model(whole.inputs, [features, *whole.outputs])
        self.classes = whole.outputs[0].shape[-1]

    def __call__(self, images: Any, classes: Any = None, *, batch_size: int = 32) -> ActivationMaps:
        """Returns the maps, as `class_activation_maps` does."""
        size = as_positive_integer("batch_size", batch_size, LARGEST_BATCH)
        shape = getattr(images, "shape", None)
        if shape is None or len(shape) != 4 or shape[0] == 0:
            raise value_error("images", "an array of at least one image, of rank 4", images)
        chosen = self._as_classes(classes, int(shape[0]))
        if int(shape[0]) <= size:
            # On PyTorch, the loader of `predict` draws from the random state that shuffles `fit`.
            features, outputs = self.model.predict_on_batch(images)
        else:
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


class _Ends(NamedTuple):
    """The end of a classifier: the tensor of feature maps, and the layers behind it."""

    features: Any
    pooling: keras.layers.GlobalAveragePooling2D
    dense: keras.layers.Dense


def _ends(model: keras.Model) -> _Ends:
    """Follows a model from its output back to the feature maps that are pooled."""
    graph.check_rewritable(model)
    by_output = {id(x): node for node in graph.nodes(model) for x in node.outputs}
    tensors, dense = graph.functional(model).outputs, None
    found = f"{len(tensors)} outputs"
    while len(tensors) == 1 and id(tensors[0]) in by_output:
        node = by_output[id(tensors[0])]
        layer, tensors = node.operation, node.input_tensors
        found = f"{type(layer).__name__} {layer.name!r}"
        if isinstance(layer, keras.layers.GlobalAveragePooling2D) and dense is not None:
            return _Ends(tensors[0], layer, dense)
        if isinstance(layer, keras.layers.Dense) and dense is None:
            dense = layer
        elif not (
            isinstance(layer, SHAPES)
            or drop_kinds.is_drop(layer)
            or (isinstance(layer, ENDS) and dense is None)
        ):
            break
    where = "" if dense is None else " before the Dense layer"
    raise ArgumentValueError.about(
        "model",
        "Argument `model` must end in GlobalAveragePooling2D and one Dense layer. "
        f"Received: model={shown(model)}, which has {found}{where}",
    )


def _probabilities(outputs: np.ndarray) -> np.ndarray:
    """Returns outputs that are probabilities as they are, and the softmax of logits."""
    sums = outputs.sum(-1)
    # A half precision rounds each probability.
    if (outputs >= 0).all() and np.allclose(sums, 1, atol=0.02):
        return outputs
    powers = np.exp(outputs - outputs.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
