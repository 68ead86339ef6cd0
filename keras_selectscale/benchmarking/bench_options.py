"""The options of a benchmark."""

import dataclasses
import importlib.util
import itertools
import math
from collections.abc import Sequence
from typing import Any

from keras_selectscale.argument_names import named_attributes
from keras_selectscale.benchmarking.backend_modes import MODES, modes
from keras_selectscale.benchmarking.layer_sides import (
    FIT,
    PYTORCH,
    PYTORCH_DROP,
    PYTORCH_SIDES,
    SIDES,
    STEP_SIDES,
    TRAIN,
)
from keras_selectscale.checks import as_integer, as_number, value_error
from keras_selectscale.models.names import find_family
from keras_selectscale.object_checks import as_boolean, as_choices, as_sequence, as_string

LARGEST_INTEGER = 2**31 - 1
SECTIONS = ("layers", "steps", "growth")
PRECISIONS = ("float32", "bfloat16", "float16")
SHAPES = (
    (128, 32, 32, 16),
    (128, 32, 32, 64),
    (128, 16, 16, 128),
    (128, 8, 8, 256),
    (128, 8, 8, 512),
    (32, 14, 14, 1024),
    (32, 7, 7, 2048),
)
# Takes a minute or two on two cores.
QUICK: dict[str, Any] = {
    "methods": ("spatial-scale", "selectscale"),
    "shapes": ((128, 32, 32, 16), (128, 8, 8, 256), (32, 7, 7, 2048)),
    "precisions": ("float32",),
    "networks": ("resnet-8",),
    "step_methods": ("selectscale",),
    "batch_size": 32,
    "rounds": 5,
    "seconds": 0.01,
    "memory": False,
    "quick": True,
}


def _has_pytorch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _default_step_methods() -> tuple[str, ...]:
    return ("selectscale", FIT, TRAIN, *((PYTORCH, PYTORCH_DROP) if _has_pytorch() else ()))


@named_attributes
@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """Everything that determines what a benchmark measures.

    Attributes:
        sections: Parts to run: `"layers"`, `"steps"`, `"growth"`.
        methods: Layers to measure next to Keras' SpatialDropout2D, names of `SIDES`.
        shapes: Inputs of the layers, (batch, height, width, channels).
        precisions: Dtypes of the layers. For a half precision, the networks take the mixed policy.
            The growth is measured in the first.
        networks: Networks whose training step is measured, names for `models.build`.
        step_methods: Layers at the drop sites of the networks, and further sides: `"pytorch"` and
            `"pytorch-dropout2d"` are the same network in plain PyTorch, followed by `"-compiled"`
            if `torch.compile` compiles it. `"keras-normalization"` is the network without a drop
            and with Keras' normalization instead of the fused one. `"fit"` is the whole loop of a
            training without a drop, with the work of the host, and `"train"` is the same with what
            `train` does besides: checkpoints, logs for TensorBoard and progress. By default
            SelectScale, the whole loop, and PyTorch if it is installed.
        batch_size: Images per step.
        modes: How the backend compiles, such as `"graph"` and `"xla"` on TensorFlow. `None` stands
            for all of its modes, or, if `quick`, for the first one except for the layers.
        rounds: Measurements of each side.
        seconds: Approximate minimum time of one measurement.
        profile: Folder for a trace of each side's training steps; `None` for none.
        memory: Whether to measure the peak memory of the steps, in one process per side.
        seed: Determines data, weights and drops.
        quick: Whether less is measured than by default; recorded with the results.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range, or a name is unknown.
    """

    sections: tuple[str, ...] = SECTIONS
    methods: tuple[str, ...] = tuple(SIDES)
    shapes: tuple[tuple[int, int, int, int], ...] = SHAPES
    precisions: tuple[str, ...] = PRECISIONS
    networks: tuple[str, ...] = ("resnet-20", "wrn-14-4")
    step_methods: tuple[str, ...] = dataclasses.field(default_factory=_default_step_methods)
    batch_size: int = 128
    modes: tuple[str, ...] | None = None
    rounds: int = 15
    seconds: float = 0.02
    memory: bool = True
    profile: str | None = None
    seed: int = 0
    quick: bool = False

    def __post_init__(self) -> None:
        """Checks every value."""
        for name, known in (
            ("sections", SECTIONS),
            ("methods", SIDES),
            ("precisions", PRECISIONS),
            ("step_methods", (*SIDES, *STEP_SIDES)),
        ):
            self._set(name, as_choices(name, getattr(self, name), tuple(known)))
        if self.modes is not None:
            every = tuple(dict.fromkeys(itertools.chain(*MODES.values())))
            self._set("modes", as_choices("modes", self.modes, every))
        for name, low in (("batch_size", 1), ("rounds", 1), ("seed", 0)):
            self._set(name, as_integer(name, getattr(self, name), low, LARGEST_INTEGER))
        self._set("seconds", as_number("seconds", self.seconds, 0, 3600, above=True))
        for name in ("memory", "quick"):
            as_boolean(name, getattr(self, name))
        if self.profile is not None:
            as_string("profile", self.profile)
        self._set("shapes", tuple(map(_as_shape, as_sequence("shapes", self.shapes))))
        self._set("networks", as_sequence("networks", self.networks))
        for name in ("shapes", "networks"):
            if not getattr(self, name):
                raise value_error(name, "a list of one or more", getattr(self, name))
        for network in self.networks:
            find_family("networks", network)
        if PYTORCH_SIDES.keys() & set(self.step_methods) and not _has_pytorch():
            expected = "sides that are installed, and PyTorch is not"
            raise value_error("step_methods", expected, self.step_methods)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def modes_here(self, section: str) -> tuple[str, ...]:
        """Returns the modes in which a section is measured on the active backend."""
        if self.modes is not None:
            return tuple(mode for mode in modes() if mode in self.modes)
        # XLA takes long to compile networks.
        return modes()[:1] if self.quick and section != "layers" else modes()

    def check_modes(self, backends: Sequence[str]) -> None:
        """Raises a `ValueError` if a backend has none of the requested modes."""
        for backend in backends:
            if self.modes is not None and not set(self.modes) & set(MODES[backend]):
                raise ValueError(
                    f"Argument `modes` must hold one of {', '.join(MODES[backend])} for the "
                    f"backend {backend}. Received: modes={','.join(self.modes)}"
                )

    def as_json(self) -> dict[str, Any]:
        """Returns the options as the result records them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def _as_shape(value: Any) -> tuple[int, ...]:
    shape = tuple(as_integer("shapes", size) for size in as_sequence("shapes", value))
    if len(shape) != 4 or min(shape) < 1 or math.prod(shape) > LARGEST_INTEGER:
        expected = (
            "shapes (batch, height, width, channels) of positive sizes, with at most "
            f"{LARGEST_INTEGER} numbers"
        )
        raise value_error("shapes", expected, value)
    return shape
