"""What is measured, against scikit-learn and formulas written out in float64."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from runner.options import metrics

RANDOM = np.random.default_rng(0)
VALUES, TARGETS = RANDOM.normal(size=(3, 50)), 5 + 3 * RANDOM.normal(size=(3, 50))
REFERENCES = {
    "mean_absolute_error": sklearn.mean_absolute_error,
    "root_mean_squared_error": sklearn.root_mean_squared_error,
    "coefficient_of_determination": sklearn.r2_score,
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("targets", [TARGETS, TARGETS[0]], ids=["own", "shared"])
def test_of_values(name: str, targets: np.ndarray) -> None:
    found = getattr(metrics, name)(torch.tensor(VALUES), torch.tensor(targets))
    rows = np.broadcast_to(targets, VALUES.shape)
    expected = [REFERENCES[name](y, a) for y, a in zip(rows, VALUES, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_mean_explains_nothing_and_equal_targets_leave_nothing_to_explain() -> None:
    y = torch.tensor([1.0, 2.0, 6.0])
    found = metrics.coefficient_of_determination(torch.stack([torch.full((3,), 3.0), y]), y)
    assert found.tolist() == [0, 1]
    assert metrics.coefficient_of_determination(y[None], torch.ones(3)).isinf().all()


def test_psnr() -> None:
    mse = torch.tensor([0.01, 0.25, 1.0], dtype=torch.float64)
    found = metrics.peak_signal_to_noise_ratio(mse, peak=2.0)
    np.testing.assert_allclose(found, 20 * np.log10(2.0 / np.sqrt(mse.numpy())))


def test_confusion_and_scores_of_each_class() -> None:
    labels, predicted = RANDOM.integers(0, 4, (2, 200))
    confusion = metrics.confusion_matrix(torch.tensor(predicted), torch.tensor(labels), 4)
    np.testing.assert_array_equal(confusion, sklearn.confusion_matrix(labels, predicted))
    expected = sklearn.precision_recall_fscore_support(labels, predicted)
    for found, values in zip(metrics.class_scores(confusion).values(), expected, strict=True):
        np.testing.assert_allclose(found, values, atol=1e-7)


def test_a_class_that_is_not_there_has_no_scores() -> None:
    scores = metrics.class_scores(torch.tensor([[2, 0, 0], [1, 0, 0], [0, 0, 0]]))
    assert scores == {
        "precision": [0.6666667, None, None],
        "recall": [1.0, 0.0, None],
        "f1": [0.8, 0.0, None],
        "support": [2, 1, 0],
    }
