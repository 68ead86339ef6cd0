"""Where the channels of a batch of feature maps stand, and the checks of it."""

from collections.abc import Sequence

MIN_RANK = 3
MAX_RANK = 5


def channel_axis(data_format: str, rank: int) -> int:
    """Returns the non-negative axis of the channels in an input of `rank` axes."""
    return rank - 1 if data_format == "channels_last" else 1


def spatial_axes(axis: int, rank: int) -> tuple[int, ...]:
    """Returns the axes of a feature map: all but the batch and the channel axis."""
    return tuple(i for i in range(1, rank) if i != axis)


def may_be_equal(shape: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Returns whether two shapes agree in their rank and in all sizes that are known."""
    return len(shape) == len(other) and all(
        a == b or a is None or b is None for a, b in zip(shape, other, strict=True)
    )


def check_feature_maps(shape: Sequence[int | None], data_format: str, owner: str) -> None:
    """Raises a `ValueError` where `shape` is not that of a batch of feature maps.

    Args:
        shape: Shape of the input, unknown sizes as `None`.
        data_format: `"channels_last"` or `"channels_first"`.
        owner: Name of the layer, for the message.
    """
    shape = tuple(shape)
    if not MIN_RANK <= len(shape) <= MAX_RANK:
        raise ValueError(
            f"{owner} expects `inputs` of rank {MIN_RANK} to {MAX_RANK}: the batch axis, one to "
            "three spatial axes and the channel axis. "
            f"Received: inputs.shape={shape} (rank {len(shape)})"
        )
    axis = channel_axis(data_format, len(shape))
    channels = shape[axis]
    if channels is None:
        raise ValueError(
            f"{owner} expects `inputs` whose channel axis ({axis} for "
            f"data_format={data_format!r}) has a known size. Received: inputs.shape={shape}"
        )
    if channels < 1:
        raise ValueError(
            f"{owner} expects `inputs` of at least one channel on axis {axis}. "
            f"Received: inputs.shape={shape}"
        )
    if 0 in shape[1:]:
        raise ValueError(
            f"{owner} expects `inputs` with no axis of size 0 but the batch. "
            f"Received: inputs.shape={shape}"
        )
