"""The proof of an export, on the file that was written."""

import os
import pathlib
import re

import keras
import numpy as np

from keras_selectscale.export.export_report import ExportReport

# What a drop leaves in a graph when it is not gone: its draws, and what it ranks by.
RANDOM_OR_SELECTING = re.compile(r"Random|Multinomial|TopK|NthElement|Sort|Bernoulli|Rng|Shuffle")


def verify_saved_model(
    path: str | os.PathLike, model: keras.Model, *, batch: int = 8, seed: int = 0
) -> ExportReport:
    """Loads a SavedModel back and holds it against the model that it was made from.

    Args:
        path: Folder of the SavedModel.
        model: The model.
        batch: How many random inputs, of normal values, are compared.
        seed: Seed of the inputs.

    Returns:
        What was found; it raises nothing on a bad export (`ExportReport.passed` says).
    """
    import tensorflow as tf

    path = pathlib.Path(path)
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    graph = function.graph.as_graph_def()
    nodes = [node.op for node in graph.node]
    nodes += [node.op for inner in graph.library.function for node in inner.node_def]

    generator = np.random.default_rng(seed)
    inputs = {
        tensor.name: tf.cast(
            generator.normal(size=[batch, *(size or 16 for size in tensor.shape[1:])]),
            tensor.dtype,
        )
        for tensor in model.inputs
    }
    # The same kind of execution on both sides: a graph fuses what eager calls do not.
    reference = tf.function(lambda values: model(values, training=False))
    values = list(inputs.values())
    expected = reference(values[0] if len(values) == 1 else values)
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    names = getattr(model, "output_names", None) or ["output"]
    served = function(**inputs)
    if set(names) != set(served):  # `model.export` of Keras calls them output_0, output_1, …
        names = sorted(served)
    differences = [
        float(np.max(np.abs(np.asarray(served[name], "float64") - np.asarray(want, "float64"))))
        for name, want in zip(names, expected, strict=True)
    ]
    return ExportReport(
        path=str(path),
        size=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        nodes=len(nodes),
        random_nodes=tuple(sorted({op for op in nodes if RANDOM_OR_SELECTING.search(op)})),
        variables=len(function.variables),
        largest_difference=max(differences),
    )
