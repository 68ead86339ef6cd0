"""The training step of the same network in plain PyTorch, as its users write it.

Channels last, autocast for half precisions, SGD with momentum, and on request `torch.nn.Dropout2d`
at the drop sites and `torch.compile`. It computes no metric.
"""

import contextlib
import importlib.util
import re
from typing import Any

from keras_selectscale.benchmarking.layer_sides import RATES
from keras_selectscale.benchmarking.layer_work import Work
from keras_selectscale.models import blocks
from keras_selectscale.models.cifar_resnet import GROUP_FILTERS

NAMES = re.compile(r"resnet-(?!50$)(?P<depth>\d+)|wrn-(?P<wide_depth>\d+)-(?P<width>\d+)")
SHAPE, CLASSES = (3, 32, 32), 10


def is_available(network: str, precision: str) -> bool:
    """Returns whether PyTorch is installed, and has this network and precision here.

    Args:
        network: Name as `models.build` takes it. ResNets and WRNs for CIFAR are built here.
        precision: Dtype of the activations. PyTorch trains in float16 on a GPU only.
    """
    if importlib.util.find_spec("torch") is None or not NAMES.fullmatch(network):
        return False
    return precision != "float16" or _device() == "cuda"


def step_work(
    network: str,
    batch_size: int,
    *,
    drop: bool,
    precision: str,
    seed: int,
    compiled: bool = False,
) -> Work:
    """Returns a function that takes a training step on a batch of random images.

    Args:
        network: Name for which `is_available` is true.
        batch_size: Images per step.
        drop: Whether `torch.nn.Dropout2d` is at every drop site.
        precision: Dtype of the activations.
        seed: Determines data, weights and drops.
        compiled: Whether `torch.compile` compiles the forward and backward pass.
    """
    import torch

    torch.manual_seed(seed)
    device = _device()
    model = _network(network, drop).to(device, memory_format=torch.channels_last)
    images = torch.randn(batch_size, *SHAPE, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (batch_size,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    half = None if precision == "float32" else getattr(torch, precision)

    def compute_loss(images: Any, labels: Any) -> Any:
        cast = contextlib.nullcontext() if half is None else torch.autocast(device, dtype=half)
        with cast:
            return torch.nn.functional.cross_entropy(model(images), labels)

    if compiled:
        compute_loss = torch.compile(compute_loss)

    def work() -> Any:
        optimizer.zero_grad()
        loss = compute_loss(images, labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return work


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _network(name: str, drop: bool) -> Any:
    """Returns the network of `models.CifarResNet` as a module of PyTorch."""
    import torch
    from torch import nn

    found = NAMES.fullmatch(name)
    assert found is not None
    depth, width = int(found["depth"] or found["wide_depth"]), int(found["width"] or 1)

    def site() -> nn.Module:
        return nn.Dropout2d(1.0 - RATES["retaining_rate"]) if drop else nn.Identity()

    def conv_bn(channels: int, filters: int, strides: int = 1) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, filters, 3, strides, 1, bias=False),
            nn.BatchNorm2d(filters, blocks.BN_EPSILON, 1.0 - blocks.BN_MOMENTUM),
        ]

    class Block(nn.Module):
        def __init__(self, channels: int, filters: int, strides: int):
            super().__init__()
            self.strides, self.missing = strides, filters - channels
            self.branch = nn.Sequential(
                *conv_bn(channels, filters, strides),
                nn.ReLU(),
                site(),
                *conv_bn(filters, filters),
                site(),
            )

        def forward(self, x: Any) -> Any:
            shortcut = x[:, :, :: self.strides, :: self.strides] if self.strides > 1 else x
            if self.missing:
                shortcut = nn.functional.pad(shortcut, (0, 0, 0, 0, 0, self.missing))
            return torch.relu(self.branch(x) + shortcut)

    channels = GROUP_FILTERS[0] * width
    layers: list[nn.Module] = [*conv_bn(3, channels), nn.ReLU(), site()]
    for group, group_filters in enumerate(GROUP_FILTERS):
        for number in range((depth - 2) // 6):
            filters = group_filters * width
            layers.append(Block(channels, filters, 2 if group and not number else 1))
            channels = filters
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)]
    return nn.Sequential(*layers, *pooled)
