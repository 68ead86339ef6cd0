"""Functional builders of the paper's networks, each with `drop=`.

Importing the file of a network registers its names.
"""

from keras_selectscale.models.cifar_resnet import CifarResNet as CifarResNet
from keras_selectscale.models.cifar_resnext import CifarResNeXt as CifarResNeXt
from keras_selectscale.models.drop_sites import DropSite as DropSite
from keras_selectscale.models.drop_sites import by_group as by_group
from keras_selectscale.models.names import build as build
from keras_selectscale.models.resnet50 import ResNet50 as ResNet50
from keras_selectscale.models.vgg import VGG as VGG
from keras_selectscale.models.wide_resnet import WideResNet as WideResNet

__all__ = [
    "VGG",
    "CifarResNeXt",
    "CifarResNet",
    "DropSite",
    "ResNet50",
    "WideResNet",
    "build",
    "by_group",
]
