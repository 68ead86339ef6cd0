"""The runs of the trials of a search: training, callbacks, logs and checkpoints."""
