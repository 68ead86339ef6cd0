import sys
import threading

import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import SpatialDropout, insert_drops, strip_drops
from keras_selectscale.models.deep_graph import deep_graph, deep_model


def chain(calls):
    """Returns the tensors of a network whose chain of calls is longer than Python's limit."""
    inputs = keras.Input((2, 2, 2))
    x = layers.Conv2D(2, 1, name="conv")(inputs)
    for _ in range(calls):
        x = -x
    return inputs, layers.Dense(1)(x)


def test_a_network_may_be_deeper_than_the_recursion_limit():
    before = sys.getrecursionlimit()
    tensors = chain(before + 100)
    with pytest.raises(RecursionError):
        keras.Model(*tensors)
    model = deep_model(*tensors, name="deep", depth=before // 4)
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 2))
    new = insert_drops(model, SpatialDropout(retaining_rate=0.5))
    assert "conv_drop" in [layer.name for layer in new.layers]
    for other in (new, strip_drops(new)):
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(m(x)) for m in (model, other)))
    assert sys.getrecursionlimit() == before


def test_the_highest_of_several_threads_holds():
    before = sys.getrecursionlimit()
    entered, leave = threading.Event(), threading.Event()

    def deeper():
        with deep_graph(5000):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=deeper)
    thread.start()
    try:
        entered.wait(60)
        with deep_graph(100):
            assert sys.getrecursionlimit() == before + 10000
        assert sys.getrecursionlimit() == before + 10000
    finally:
        leave.set()
        thread.join()
    assert sys.getrecursionlimit() == before
