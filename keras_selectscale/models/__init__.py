"""Functional builders of the paper's networks; each takes `drop=`."""

from keras_selectscale.models.cifar_resnet import CifarResNet
from keras_selectscale.models.cifar_resnext import CifarResNeXt
from keras_selectscale.models.drop_groups import by_group
from keras_selectscale.models.drop_sites import DropSite
from keras_selectscale.models.names import build
from keras_selectscale.models.resnet50 import ResNet50
from keras_selectscale.models.vgg import VGG

__all__ = ["VGG", "CifarResNeXt", "CifarResNet", "DropSite", "ResNet50", "build", "by_group"]
