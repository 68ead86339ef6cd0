"""SavedModels that hold a model's inference and nothing else."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_selectscale.exporting.formats import Consumer, ExportedFile, Format, register
from keras_selectscale.exporting.inference import (
    Inference,
    as_tensors,
    graph_nodes,
    trace_inference,
)
from keras_selectscale.exporting.signature import Signature

SIGNATURE = "serving_default"
# TensorFlow takes the path of variables that it reads for a pattern of names.
OF_PATTERNS = frozenset("[]*?\\")


@contextlib.contextmanager
def without_pattern(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a path of a SavedModel that TensorFlow does not take for a pattern."""
    if not OF_PATTERNS & set(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = pathlib.Path(folder) / "saved_model"
        try:
            plain.symlink_to(path.absolute(), target_is_directory=True)
        except OSError:  # Windows allows links to some users only.
            shutil.copytree(path, plain)
        yield plain


def write_saved_model(model: keras.Model, signature: Signature, path: pathlib.Path) -> None:
    """Writes a model's inference as a SavedModel.

    It holds exactly the variables that inference reads: no seed states, counters of schedules or
    optimizer slots, and each weight once. The signature `serving_default` takes and returns tensors
    by name. The endpoint `serve` has the inputs and outputs of the model.
    """
    import tensorflow as tf

    inference = trace_inference(model, signature)
    module = tf.Module()
    module.inference_variables = list(inference.concrete.variables)
    module.tables = _tables(model, inference)
    module.serve = inference.serve
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: inference.concrete})


def _tables(model: keras.Model, inference: Inference) -> list:
    """Returns the lookup tables that inference reads, such as that of a StringLookup."""
    import tensorflow as tf

    read = {id(captured) for captured in inference.concrete.captured_inputs}
    return [
        found
        for found in tf.train.TrackableView(model).descendants()
        if isinstance(found, tf.saved_model.experimental.TrackableResource)
        and id(found.resource_handle) in read
    ]


def read_saved_model(path: pathlib.Path, safe_mode: bool = True) -> ExportedFile:
    """Reads a SavedModel with every function of its graph and every variable."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel()
    content.ParseFromString((path / "saved_model.pb").read_bytes())
    nodes = [node for graph in content.meta_graphs for node in graph_nodes(graph.graph_def)]
    return ExportedFile(nodes, _variables(path), load=lambda: _load(path))


def _load(path: pathlib.Path) -> Consumer:
    import tensorflow as tf

    with without_pattern(path) as plain:
        loaded = tf.saved_model.load(str(plain))
    if SIGNATURE not in loaded.signatures:
        raise ValueError(f"it has no signature {SIGNATURE}, but {sorted(loaded.signatures)}")

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        # Through `loaded`, which owns the variables.
        outputs = loaded.signatures[SIGNATURE](**as_tensors(inputs))
        return {name: value.numpy() for name, value in outputs.items()}

    return Consumer(list(loaded.signatures[SIGNATURE].structured_input_signature[1]), run)


def _variables(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns every variable in the file, including those that its signature does not read."""
    import tensorflow as tf

    if not (path / "variables" / "variables.index").exists():
        return {}
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    with without_pattern(path) as plain:
        reader = tf.train.load_checkpoint(str(plain / "variables" / "variables"))
        return {
            name.removesuffix(end): reader.get_tensor(name)
            for name in reader.get_variable_to_shape_map()
            if name.endswith(end)
        }


register(
    Format(
        name="tf_saved_model",
        title="SavedModel of TensorFlow",
        suffix="",
        default_name="saved_model",
        packages={},
        on_tensorflow=True,
        in_float32=False,
        tolerance=0.0,
        write=write_saved_model,
        read=read_saved_model,
    )
)
