"""The two curves of the paper's Figure 4.

Its panels show the error against the top rate at one retaining rate, and against the retaining rate
at one top rate.
"""

METHOD = "selectscale"
RETAINING_RATE = 0.0
TOP_RATE = 0.2
