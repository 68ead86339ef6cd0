"""Exports without drops, and the verification of the written file.

Importing the file of a format registers the format.
"""

from keras_selectscale.exporting import keras_file as keras_file
from keras_selectscale.exporting import litert_file as litert_file
from keras_selectscale.exporting import onnx_file as onnx_file
from keras_selectscale.exporting import openvino_file as openvino_file
from keras_selectscale.exporting import saved_model as saved_model
from keras_selectscale.exporting.report import ExportError, ExportReport
from keras_selectscale.exporting.verify import verify_export
from keras_selectscale.exporting.write import export

__all__ = ["ExportError", "ExportReport", "export", "verify_export"]
