"""Functional builders of the paper's networks; each takes `drop=`."""

from keras_selectscale.models.cifar_resnet import CifarResNet
from keras_selectscale.models.drop_sites import DropSite
from keras_selectscale.models.names import build

__all__ = ["CifarResNet", "DropSite", "build"]
