"""Which calls of a layer belong to one training step.

A training step is one forward pass in training: one call of the outermost layer, usually the model,
or one `stateless_call` of it. All calls of a layer within that pass, by `TimeDistributed`, by
several branches or in a loop, belong to one step. Nothing is kept beyond the pass.

Keras has no public name for the current pass. A public function that returns it could replace the
private entries of `global_state` that are used only here:

- `current_call_ctx`: the `CallContext` that `Layer.__call__` opens for the outermost layer, and
  closes after it. Inner calls find it open.
- `stateless_scope`: the `keras.StatelessScope` that is open. `stateless_call` opens one and runs
  `call` without a `CallContext`, so that every sublayer then opens its own.

Both are kept by thread, so that the replicas of a `tf.distribute` strategy do not see each other's.
"""

import re
from collections.abc import Callable
from typing import Any

import keras
from keras.src.backend.common import global_state

# Attribute of the object that represents a step.
RESULTS = "_keras_selectscale_results"


def once_a_step(layer: keras.Layer, begin: Callable[[], Any]) -> Any:
    """Returns the result of `begin`, which runs at the first call of `layer` in a training step.

    Outside any pass, if `layer.call` is called by itself, every call is a step.

    Args:
        layer: The layer that is being called.
        begin: Function without arguments. On TensorFlow its operations are added to the graph in
            which the outermost layer was called, so that they run once if `layer` is called inside
            a loop of that graph, and the result can be used anywhere within it.
    """
    step = global_state.get_global_attribute("stateless_scope")
    if step is None:
        step = global_state.get_global_attribute("current_call_ctx")
    if step is None:
        return begin()
    results = getattr(step, RESULTS, None)
    if results is None:
        results = {}
        setattr(step, RESULTS, results)
    graph = _graph_of(step)
    if (layer, graph) not in results:
        if graph is None:
            results[layer, graph] = begin()
        else:
            with graph.as_default():
                results[layer, graph] = begin()
    return results[layer, graph]


def _graph_of(step: Any) -> Any:
    """Returns the TensorFlow graph in which a step began; `None` in eager mode and elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    if tf.executing_eagerly():
        return None
    # From the innermost outwards: bodies of loops, branches, functions.
    graphs = [tf.compat.v1.get_default_graph()]
    while getattr(graphs[-1], "outer_graph", None) is not None:
        graphs.append(graphs[-1].outer_graph)
    # Keras opens a name scope for every call. The outermost graph that has the one of the
    # outermost layer is where that layer was called; TensorFlow may have numbered the name.
    outermost = getattr(step, "entry_layer", None)
    if outermost is not None:
        name = re.compile(rf"(^|/){re.escape(outermost.name)}(_\d+)?(/|$)")
        for graph in reversed(graphs):
            if name.search(graph.get_name_scope()):
                return graph
    # The outermost layer was called eagerly and only a part of it is traced: each run of the traced
    # function is a step.
    return graphs[0]
