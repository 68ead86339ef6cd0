"""The version of the package, readable without importing Keras."""

__version__ = "0.2.0.dev0"
