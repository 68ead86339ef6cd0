"""Drops in and out of models that exist already, and drops that stay on in inference."""

from keras_selectscale.surgery.strip import strip_drops

__all__ = ["strip_drops"]
