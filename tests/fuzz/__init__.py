"""Bad input of every kind, and one predicate for a correct answer.

`python -m tests.fuzz --minutes 5` generates cases for as long as wanted and prints what came out.
"""
