"""Class activation maps: where in an image a classifier finds the evidence for a class."""

from collections.abc import Sequence
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
# What the last activation makes of the logits: probabilities, or only other logits.
PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)
LOGITS = (keras.activations.linear, keras.activations.log_softmax)
LARGEST_BATCH = 2**31 - 1


class ActivationMaps(NamedTuple):
    """Class activation maps of a batch of images.

    Attributes:
        maps: float32 of shape (images, height, width), at the resolution of the last feature maps.
        classes: int64 of shape (images,), the class of each map.
        probabilities: float32 of shape (images,), the probability of that class: of logits their
            softmax, or if there is only one its sigmoid.
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
            `Dense` layer, with drops and reshapes between them, and a softmax, a sigmoid or no
            activation behind them. Any of them may be inside nested models, such as a pretrained
            one with `pooling="avg"`.
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
        graph.check_rewritable(model)
        behind: list[Any] = []
        features, outputs = _pooled(model, model, behind)
        self.dense = next(each for each in behind if isinstance(each, keras.layers.Dense))
        self.activation = _activation(model, behind)
        self.is_channels_first = behind[-1].data_format == "channels_first"
        inputs = graph.functional(model).inputs
        # On PyTorch, Keras warns of an array for a list of one input.
        self.model = keras.Model(inputs[0] if len(inputs) == 1 else inputs, [features, outputs])
        self.classes = outputs.shape[-1]

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
        probabilities = np.asarray(outputs, "float32")
        if self.activation in LOGITS:
            probabilities = _probabilities(probabilities)
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


class _Chain(keras.layers.Layer):
    """Calls layers one after the other, without a trace in the graphs that they belong to."""

    def __init__(self, chain: Sequence[keras.layers.Layer]):
        super().__init__(autocast=False)
        self.chain = list(chain)

    def call(self, inputs: Any) -> Any:
        """Returns what the last layer returns."""
        for layer in self.chain:
            inputs = layer(inputs)
        return inputs


def _pooled(whole: keras.Model, model: keras.Model, behind: list[Any]) -> tuple[Any, Any]:
    """Follows a model from its output back to the feature maps that are pooled.

    Args:
        whole: The model that the user passed, for the message.
        model: The same, or a model inside.
        behind: The layers that were passed so far; extended up to the pooling.

    Returns:
        The feature maps and the output, of the graph of `model`.
    """
    by_output = {id(x): node for node in graph.nodes(model) for x in node.outputs}
    outputs = graph.functional(model).outputs
    tensors, found, passed = outputs, f"{len(outputs)} outputs", len(behind)
    while len(tensors) == 1 and id(tensors[0]) in by_output:
        node = by_output[id(tensors[0])]
        layer, tensors = node.operation, node.input_tensors
        found = f"{type(layer).__name__} {layer.name!r}"
        has_dense = any(isinstance(each, keras.layers.Dense) for each in behind)
        if isinstance(layer, keras.layers.GlobalAveragePooling2D) and has_dense:
            behind.append(layer)
            return tensors[0], outputs[0]
        if graph.is_model(layer):
            own = behind[passed:]
            features, output = _pooled(whole, layer, behind)
            opened = keras.Model(graph.functional(layer).inputs, [features, output])
            features, output = opened(*node.arguments.args, **node.arguments.kwargs)
            return features, _Chain(own[::-1])(output) if own else output
        if not (
            isinstance(layer, SHAPES)
            or drop_kinds.is_drop(layer)
            or (isinstance(layer, (*ENDS, keras.layers.Dense)) and not has_dense)
        ):
            break
        behind.append(layer)
    has_dense = any(isinstance(each, keras.layers.Dense) for each in behind)
    raise _not_as_described(whole, f"{found}{' before the Dense layer' if has_dense else ''}")


def _activation(model: keras.Model, behind: Sequence[Any]) -> Any:
    """Returns the last activation behind the pooling that changes the logits, or the linear one."""
    for layer in behind:  # The last one first.
        if isinstance(layer, keras.layers.Softmax):
            return keras.activations.softmax
        found = getattr(layer, "activation", None)
        if found is not None and found not in (*PROBABILITIES, *LOGITS):
            name = getattr(found, "__name__", type(found).__name__)
            raise _not_as_described(model, f"the activation {name} in {layer.name!r}")
        if found in (*PROBABILITIES, LOGITS[1]):
            return found
    return keras.activations.linear


def _not_as_described(model: keras.Model, found: str) -> ArgumentValueError:
    return ArgumentValueError.about(
        "model",
        "Argument `model` must end in GlobalAveragePooling2D and one Dense layer, with a softmax, "
        f"a sigmoid or no activation. Received: model={shown(model)}, which has {found}",
    )


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the softmax of logits, or the sigmoid of a single one."""
    classes = logits.shape[-1]
    if classes == 1:
        logits = np.concatenate([logits, np.zeros_like(logits)], -1)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True))[:, :classes]
