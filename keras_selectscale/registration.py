"""Registers the package's classes with Keras without importing Keras.

Keras loads a file with these layers only if they are registered, which needs Keras. The command
line's help must not wait for the seconds that Keras' backend takes to start, so the registration
waits until Keras is imported.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

# The packages that define registered classes.
REGISTERED = ("keras_selectscale.layers", "keras_selectscale.optimizers")


def register_with_keras() -> None:
    """Registers the classes now if Keras is imported, or as soon as it is."""
    if "keras" in sys.modules:
        _import_registered()
    else:
        sys.meta_path.insert(0, _KerasFinder())


def _import_registered() -> None:
    for name in REGISTERED:
        # A package that imports Keras itself is in `sys.modules` and registers its classes.
        if name not in sys.modules:
            importlib.import_module(name)


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Lets the other finders find Keras and imports the registered classes after it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _import_registered()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
