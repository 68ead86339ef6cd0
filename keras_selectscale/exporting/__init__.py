"""Exports in which the drops are gone, and the proof of it."""

from keras_selectscale.exporting.export_error import ExportError
from keras_selectscale.exporting.export_report import ExportReport
from keras_selectscale.exporting.verify import verify_export
from keras_selectscale.exporting.write import export

__all__ = ["ExportError", "ExportReport", "export", "verify_export"]
