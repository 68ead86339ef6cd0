"""`python -m keras_selectscale` runs the command line."""

from keras_selectscale.cli import main

main()
