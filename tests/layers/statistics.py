"""Statistical tests of drawn factors.

Each raises where its p-value is below `LEVEL`. Seeds are fixed: on one backend and version a test
passes always or never, and the level is the chance that a right layer had failed when written.
"""

import numpy as np
from scipy import stats

LEVEL = 1e-4


def check_share(marks, share):
    """Asserts that True comes with the probability `share` (binomial test)."""
    marks = np.asarray(marks)
    result = stats.binomtest(int(marks.sum()), marks.size, share)
    assert result.pvalue > LEVEL, (marks.mean(), share)


def check_uniform(values, low, high):
    """Asserts that `values` are uniform on [low, high] (Kolmogorov-Smirnov)."""
    result = stats.kstest(np.ravel(values), stats.uniform(low, high - low).cdf)
    assert result.pvalue > LEVEL, result


def check_mean_one(values):
    """Asserts a mean of 1 (z-test with the variance that is seen, which must not be 0)."""
    values = np.ravel(values)
    error = values.std() / np.sqrt(values.size)
    assert error > 0, "nothing was drawn"
    assert 2 * stats.norm.sf(abs(values.mean() - 1) / error) > LEVEL, values.mean()


def check_equal_counts(counts):
    """Asserts that each of some outcomes is as likely as the others (chi-square)."""
    result = stats.chisquare(np.ravel(counts))
    assert result.pvalue > LEVEL, counts


def check_uncorrelated(one, other):
    """Asserts that two equally long rows of draws do not go together (Pearson)."""
    result = stats.pearsonr(np.ravel(one), np.ravel(other))
    assert result.pvalue > LEVEL, result


def check_independent_maps(factor):
    """Asserts no correlation between neighbouring samples nor between neighbouring channels."""
    check_uncorrelated(factor[:-1], factor[1:])
    check_uncorrelated(factor[:, :-1], factor[:, 1:])
