"""What a layer adds to TensorFlow's graphs: operations, and nothing that outlives the graph."""

import collections
import math

import numpy as np
import pytest

from keras_selectscale import Selective, Selectout, SelectScale, SpatialDropout, SpatialScale
from tests.layers import drawing

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="about TensorFlow")

LAYERS = {
    "selectscale": lambda: SelectScale(top_rate=0.5, retaining_rate=0.0, seed=1),
    "selectout": lambda: Selectout(top_rate=0.5, retaining_rate=0.8, seed=1),
    "selective": lambda: Selective(SpatialScale(retaining_rate=0.0, seed=1), top_rate=0.5),
    "average_pool": lambda: SelectScale(top_rate=0.5, retaining_rate=0.0, score="average_pool"),
}


def traced(layer):
    return tf.function(lambda x: layer(x, training=True))


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_is_compiled_for_a_batch_size(name):
    concrete = traced(LAYERS[name]()).get_concrete_function(tf.TensorSpec((None, 5, 4, 8)))
    definition = concrete.graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    assert not [node.name for node in nodes if node.attr["_XlaMustCompile"].b]
    assert not [f for f in definition.library.function if f.attr["_XlaMustCompile"].b]
    for batch in (1, 2, 3):
        assert concrete(tf.ones((batch, 5, 4, 8))).shape == (batch, 5, 4, 8)


def operations(function, *specs):
    """Counts the operations of a function's graph by type."""
    graph = tf.function(function).get_concrete_function(*specs).graph
    return collections.Counter(operation.type for operation in graph.get_operations())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_score_of_what_a_relu_returns_looks_for_no_negative_number(dtype):
    spec = tf.TensorSpec((3, 5, 4, 8), dtype)

    def made():
        return SelectScale(top_rate=0.5, retaining_rate=0.0, seed=1, dtype=dtype)

    kinds = {"Abs", "Min", "Neg"}
    layer = made()
    assert not kinds & operations(lambda x: layer(tf.nn.relu(x), training=True), spec).keys()
    assert kinds & operations(lambda x: layer(x, training=True), spec).keys()
    # Eagerly, the layer does not know where its input comes from.
    choices = [0.0, -0.0, 1.0, 2.0, -3.0, math.nan, math.inf, -math.inf, 1e-40]
    x = tf.cast(np.random.default_rng(0).choice(choices, (40, 5, 4, 8)), dtype)
    in_graph, eager = made(), made()
    found = tf.function(lambda x: in_graph(tf.nn.relu(x), training=True))(x)
    np.testing.assert_array_equal(
        tf.cast(found, "float32"), tf.cast(eager(tf.nn.relu(x), training=True), "float32")
    )


@pytest.mark.parametrize(
    "layer",
    [
        SelectScale(top_rate=0.5, retaining_rate=0.0),
        SelectScale(top_rate=0.5, retaining_rate=0.4),
        Selectout(top_rate=0.5, retaining_rate=0.5),
        SpatialScale(retaining_rate=0.4),
        SpatialDropout(retaining_rate=0.5),
        Selective(SpatialScale(retaining_rate=0.4), top_rate=0.5),
    ],
    ids=lambda layer: f"{type(layer).__name__}",
)
def test_narrow_maps_are_multiplied_by_whole_rows(layer):
    for channels, tiles in ((16, 1), (17, 0)):
        one = type(layer).from_config(layer.get_config())
        counts = operations(traced(one).python_function, tf.TensorSpec((3, 5, 4, channels)))
        assert counts["Tile"] == tiles


@pytest.mark.parametrize("name", ["selectscale", "selectout"])
def test_a_check_of_numerics_leaves_nothing_behind(name):
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 8)).astype("float32")
    expected = traced(LAYERS[name]())(x)
    tf.debugging.enable_check_numerics()
    try:
        checked = traced(LAYERS[name]())(x)
    finally:
        tf.debugging.disable_check_numerics()
    np.testing.assert_array_equal(checked, expected)
    np.testing.assert_array_equal(traced(LAYERS[name]())(x), expected)


def test_a_failed_conversion_leaves_nothing_behind():
    """A TFLite conversion in training mode fails, as for Keras' own layers; others still train."""
    layer = LAYERS["selectscale"]()
    concrete = traced(layer).get_concrete_function(tf.TensorSpec((1, 5, 4, 8)))
    try:
        tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    except Exception as error:  # Whatever it says, it is about this graph.
        print(error)
    y = traced(LAYERS["selectscale"]())(tf.ones((2, 5, 4, 8)))
    assert np.isfinite(y).all() and (y.numpy() != 1).any()
