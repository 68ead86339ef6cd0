"""Inserts drops into existing models, strips them, and keeps them active in inference."""

from keras_selectscale.surgery.class_activation import ActivationMaps, class_activation_maps
from keras_selectscale.surgery.drop_diagnostics import DropDiagnostics, DropObservation
from keras_selectscale.surgery.insert import find_drop_sites, insert_drops
from keras_selectscale.surgery.map_history import ActivationMapHistory
from keras_selectscale.surgery.monte_carlo import MonteCarlo, mc_predict
from keras_selectscale.surgery.sites import Site
from keras_selectscale.surgery.strip import strip_drops
from keras_selectscale.surgery.switching import drops_active

__all__ = [
    "ActivationMapHistory",
    "ActivationMaps",
    "DropDiagnostics",
    "DropObservation",
    "MonteCarlo",
    "Site",
    "class_activation_maps",
    "drops_active",
    "find_drop_sites",
    "insert_drops",
    "mc_predict",
    "strip_drops",
]
