"""The optimizer of the paper's recipes."""

from keras_selectscale.optimizers.coupled_sgd import CoupledSGD

__all__ = ["CoupledSGD"]
