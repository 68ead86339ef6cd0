"""Hypothesis strategies for feature maps."""

from hypothesis import settings
from hypothesis import strategies as st

from tests.layers import drawing

DATA_FORMATS = st.sampled_from(["channels_last", "channels_first"])
# Rates as people write them, with the halves and the ends among them.
RATES = st.integers(1, 100).map(lambda percent: percent / 100)


def examples(count):
    """Returns settings for `count` examples, or a few on JAX, which compiles for each shape."""
    return settings(max_examples=count if drawing.BACKEND != "jax" else max(count // 6, 5))


@st.composite
def feature_maps(draw, data_format, dtype="float32"):
    """Draws feature maps of rank 3 to 5, small, with height, width and depth of their own."""
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 24))
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    shape = (
        (batch, *sizes, channels) if data_format == "channels_last" else (batch, channels, *sizes)
    )
    return drawing.maps(shape, data_format, seed=draw(st.integers(0, 99)), dtype=dtype)
