"""Errors about a disk that cannot be written, whatever library reports them."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def cannot_be_written(path: pathlib.Path, error: OSError) -> OSError:
    """Returns an error that names a file and states why it cannot be written."""
    # The error comes from a file that this one is made from.
    if " cannot be written: " in str(error):
        return error
    reason = error.strerror or error
    return OSError(f"{path} cannot be written: {reason}; what was written before is kept")


@contextlib.contextmanager
def disk_errors(path: pathlib.Path) -> Iterator[None]:
    """Turns an error about a disk that cannot be written into an `OSError` that names a file.

    TensorFlow and the converters have no common class for such an error, and may take it for one of
    the model.

    Args:
        path: The file or folder that is written inside the context, under any temporary name.

    Raises:
        OSError: If the work inside the context failed because the disk is full, read-only or over
            its quota, or with any other `OSError`.
    """
    try:
        yield
    except Exception as error:
        found = error if isinstance(error, OSError) else _disk_error(error)
        if found is None:
            raise
        name = str(found.filename or "")
        inside = pathlib.Path(name).absolute().is_relative_to(path.parent.absolute())
        if name and not inside:  # In a folder for temporary files.
            found = OSError(found.errno, f"{found.strerror}: {name}")
        raise cannot_be_written(path, found) from None


def _disk_error(error: BaseException) -> OSError | None:
    """Returns the reason of an error, and of those that led to it, if the disk is the reason."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        for number in OF_THE_DISK:
            text = os.strerror(number)
            if getattr(following, "errno", None) == number or text in str(following):
                return OSError(number, text)
        following = following.__cause__ or following.__context__
    return None
