"""The error of a side that cannot be timed."""


class SideError(RuntimeError):
    """Raised where a side of a measurement fails; it names the side.

    Args:
        side: Name of the side.
        reason: What went wrong.
    """

    def __init__(self, side: str, reason: BaseException):
        lines = str(reason).strip().splitlines()
        self.side = side
        self.reason = f"{type(reason).__name__}: {lines[0] if lines else ''}".rstrip(": ")
        super().__init__(f"the side {side!r} failed: {self.reason}")
