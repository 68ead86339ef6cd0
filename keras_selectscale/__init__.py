"""Selective and soft dropout for Keras: the drop layers of "SelectScale" (IJCAI 2020)."""

import importlib as _importlib
import sys as _sys
import typing as _typing
from importlib.util import find_spec as _find_spec

from keras_selectscale.registration import register_with_keras as _register_with_keras
from keras_selectscale.version import __version__

if _typing.TYPE_CHECKING:
    from keras_selectscale import (
        benchmarking,
        data,
        experiments,
        exporting,
        layers,
        models,
        recipes,
        surgery,
        training,
        tuning,
    )
    from keras_selectscale.exporting import export, verify_export
    from keras_selectscale.layers import *  # noqa: F403
    from keras_selectscale.surgery import (
        ActivationMapHistory,
        DropDiagnostics,
        class_activation_maps,
        drops_active,
        insert_drops,
        mc_predict,
        strip_drops,
    )

_PACKAGES = (
    "benchmarking",
    "data",
    "experiments",
    "exporting",
    "layers",
    "models",
    "recipes",
    "surgery",
    "training",
    "tuning",
)
_FUNCTIONS = {
    "ActivationMapHistory": "surgery",
    "DropDiagnostics": "surgery",
    "class_activation_maps": "surgery",
    "drops_active": "surgery",
    "export": "exporting",
    "insert_drops": "surgery",
    "mc_predict": "surgery",
    "strip_drops": "surgery",
    "verify_export": "exporting",
}


def __getattr__(name: str) -> _typing.Any:
    """Imports a public name on its first use: a package, a function, or a layer."""
    if name == "__all__":
        return __dir__()
    if name in _PACKAGES:
        return _importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(_importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    # `from keras_selectscale import checks` asks here first, and must not import Keras.
    is_module = _find_spec(f"{__name__}.{name}") is not None
    if not name.startswith("_") and not is_module:
        layers = _importlib.import_module(f"{__name__}.layers")
        if name in layers.__all__:
            return getattr(layers, name)
    # With these arguments, Python suggests a similar name.
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message, name=name, obj=_sys.modules[__name__])


def __dir__() -> list[str]:
    layers = _importlib.import_module(f"{__name__}.layers")
    return sorted({*_PACKAGES, *_FUNCTIONS, *layers.__all__, "__version__"})


_register_with_keras()
