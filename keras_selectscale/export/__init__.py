"""Exports in which the drops are gone, and the proof of it."""

from keras_selectscale.export.export_report import ExportReport
from keras_selectscale.export.saved_model import write_saved_model
from keras_selectscale.export.verification import verify_saved_model

__all__ = ["ExportReport", "verify_saved_model", "write_saved_model"]
