import dataclasses

import numpy as np
import pytest

from keras_selectscale.data import Augmentation


def test_is_a_value():
    assert Augmentation(padding=np.int64(4), flip=True) == Augmentation(4, True)
    assert type(Augmentation(np.int64(4), True).padding) is int
    with pytest.raises(dataclasses.FrozenInstanceError):
        Augmentation(4, True).padding = 1


@pytest.mark.parametrize(
    ("padding", "flip", "error", "named"),
    [
        (-1, True, ValueError, "`padding`.*-1"),
        (1.0, True, TypeError, "`padding`.*1.0"),
        (True, True, TypeError, "`padding`"),
        (1, 1, TypeError, "`flip`.*1"),
    ],
)
def test_refuses_bad_values(padding, flip, error, named):
    with pytest.raises(error, match=named):
        Augmentation(padding=padding, flip=flip)
