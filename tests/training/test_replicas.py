import keras
import numpy as np

from keras_selectscale.training import replicas


def variables():
    return [
        keras.Variable(np.float32(0.1), trainable=False),
        keras.Variable(np.arange(3, dtype="float32"), trainable=False),
    ]


def numbers(given):
    return [keras.ops.convert_to_numpy(variable.value).tolist() for variable in given]


def test_values_come_back_to_the_bit():
    first = variables()
    found = replicas.values(first)
    assert found == [[float(np.float32(0.1))], [0.0, 1.0, 2.0]]
    others = variables()
    for variable in others:
        variable.assign(variable * 0)
    replicas.assign(others, found)
    assert numbers(others) == numbers(first)


def test_those_of_more_replicas_are_added_up():
    others = variables()
    replicas.assign(others, [[1.0, 2.0], [1.0, 2.0, 3.0, 10.0, 20.0, 30.0]])
    assert numbers(others) == [3.0, [11.0, 22.0, 33.0]]
