"""Models that the tests of the exports share."""

from keras_selectscale import SelectScale, linear_curriculum
from keras_selectscale.models import CifarResNet


def scheduled_model():
    """Returns a network with a drop at every site, each of which counts its steps."""
    drop = SelectScale(top_rate=0.3, retaining_rate=linear_curriculum(0.0, 10), seed=1)
    return CifarResNet(8, input_shape=(8, 12, 1), drop=drop)
