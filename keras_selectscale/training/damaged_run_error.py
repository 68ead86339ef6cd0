"""The error about a file of a run folder, under the name that users import."""

from keras_selectscale.files import DamagedFileError as DamagedRunError

__all__ = ["DamagedRunError"]
