"""`python -m keras_selectscale` runs the command line."""

from keras_selectscale.cli import main

if __name__ == "__main__":
    main()
