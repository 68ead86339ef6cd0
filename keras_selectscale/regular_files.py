"""What is a file, before it is read or replaced: not a pipe, a device or a link to elsewhere."""

import os
import pathlib
import stat
import zipfile

from keras_selectscale.checks import shown

# No text file of this package comes near it, and every machine can hold it.
LARGEST_TEXT = 2**28
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class DamagedFileError(ValueError):
    """A file whose content is invalid or does not fit the files beside it.

    The message names the file and, if there is one, the field.
    """


def check_regular(path: str | os.PathLike[str], largest: int | None = None) -> None:
    """Checks that a file can be read to its end.

    Opening a pipe waits for somebody who writes to it, and reading a device may never end.

    Args:
        path: The file. If it does not exist, opening it says so.
        largest: Largest size in bytes; `None` for any.

    Raises:
        DamagedFileError: If it is something else than a file, or larger.
    """
    if (kind := _special(path)) is not None:
        raise DamagedFileError(f"{path} is damaged: it is {kind}, not a file")
    if largest is not None and os.path.exists(path) and os.stat(path).st_size > largest:
        raise DamagedFileError(
            f"{path} is damaged: it has {os.stat(path).st_size:,} bytes, more than {largest:,}"
        )


def check_entries(archive: zipfile.ZipFile, largest: int, name: str = "") -> None:
    """Checks the sizes of an archive's entries before they are decompressed.

    Args:
        archive: The archive.
        largest: Largest size of all entries together in bytes.
        name: Name of the only entry that counts; empty for all.

    Raises:
        ValueError: If they are larger.
    """
    size = sum(each.file_size for each in archive.infolist() if name in ("", each.filename))
    if size > largest:
        what = f"its entry {name} has" if name else "its entries have"
        raise ValueError(f"{what} {size:,} bytes, more than {largest:,}")


def check_replaceable(path: pathlib.Path) -> None:
    """Checks that what stands at a path may be replaced by a file or folder.

    Raises:
        OSError: If it is a pipe, a socket or a device.
    """
    kind = _special(path)
    if kind not in (None, KINDS[stat.S_IFDIR]):
        raise OSError(f"{path} cannot be written: it is {kind}, not a file")


def check_links(folder: pathlib.Path, *patterns: str) -> None:
    """Checks that no folder that is written within a folder is a symbolic link.

    What is written into the folder of somebody else thus stays there.

    Args:
        folder: The folder, which may itself be a link.
        *patterns: Patterns of the folders in it.

    Raises:
        ValueError: If one is a link.
    """
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_symlink():
                raise ValueError(
                    f"{shown(str(path))[1:-1]} is a symbolic link: replace it by a folder, or "
                    "remove it"
                )


def machine_memory() -> int:
    """Returns the bytes of memory of the machine, or more than any has if that is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows, and some systems without the name.
        return 2**63


def _special(path: str | os.PathLike[str]) -> str | None:
    """Returns what stands at a path, if it exists and is not a file."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "something else")
