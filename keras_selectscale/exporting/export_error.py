"""The error of an export that cannot be made or did not pass its proof."""

from keras_selectscale.exporting.export_report import ExportReport


class ExportError(RuntimeError):
    """An export cannot be made, or did not pass its proof; nothing was written.

    Args:
        message: One line.
        report: What the proof found, where it came so far.
    """

    def __init__(self, message: str, report: ExportReport | None = None):
        super().__init__(message)
        self.report = report
