"""How far a difference would move with other seeds and other test examples."""

import numpy as np

RESAMPLES = 2000
PIECE = 100  # resamples at a time: a thousand of 10,000 examples would fill 80 MB


def seeds_and_examples(differences: np.ndarray, coverage: float = 0.95) -> tuple[float, float]:
    """The percentile interval of a mean whose seeds and examples are both drawn again.

    Owen's pigeonhole bootstrap: rows and columns are drawn with replacement, each by itself, so that an
    example that is hard for every seed counts as one example. It errs on the wide side.
    Owen 2007, https://doi.org/10.1214/07-AOAS122.

    Args:
        differences: left − right of each seed in each example, (seeds, examples).
        coverage: Of the interval.
    """
    draw = np.random.default_rng(0)  # the same report every time
    seeds, examples = differences.shape
    means = []
    for _ in range(0, RESAMPLES, PIECE):
        rows = draw.multinomial(seeds, np.full(seeds, 1 / seeds), size=PIECE) / seeds
        of_seeds = rows @ differences  # (PIECE, examples)
        columns = draw.integers(examples, size=(PIECE, examples))
        means.append(np.take_along_axis(of_seeds, columns, axis=1).mean(axis=1))
    tail = (1 - coverage) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
