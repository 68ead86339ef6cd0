"""Drops in and out of models that exist already, and drops that stay on in inference."""

from keras_selectscale.surgery.active import drops_active
from keras_selectscale.surgery.insert import find_drop_sites, insert_drops
from keras_selectscale.surgery.monte_carlo import MonteCarlo, mc_predict
from keras_selectscale.surgery.site import Site
from keras_selectscale.surgery.strip import strip_drops

__all__ = [
    "MonteCarlo",
    "Site",
    "drops_active",
    "find_drop_sites",
    "insert_drops",
    "mc_predict",
    "strip_drops",
]
