"""mIoU and PCK on cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from atelier.evaluation.agreement import confusion, correct_keypoints, iou_by_class, mean_iou, pck


def test_mean_iou_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    predicted = np.array([[0, 1, 1, 3]], np.uint8)
    counts = confusion(predicted, truth, 4)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    iou = iou_by_class(counts)
    assert iou[:2] == pytest.approx([1 / 2, 1 / 3]) and np.isnan(iou[2]) and iou[3] == 0
    assert mean_iou(counts) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert mean_iou(counts + counts) == mean_iou(counts)
    with pytest.raises(ValueError, match="same"):
        confusion(predicted, truth[:, :2], 4)


def test_pck_by_hand() -> None:
    truth = np.zeros((1, 25, 3))
    truth[0, :4] = [(50, 0, 1), (50, 20, 1), (40, 20, 1), (30, 100, 1)]
    truth[0, 8] = (50, 60, 1)
    predicted = truth.copy()
    predicted[0, 0, 0] += 4.9  # within 5 % of 100 pixels of height, not within 10 % of 40 of torso
    predicted[0, 2, 0] += 5.1
    predicted[0, 3] = 0  # missed
    predicted[0, 9] = (1, 1, 1)  # not there in truth: not counted
    correct, total = correct_keypoints(predicted, truth, share=0.05)
    assert total.sum() == 5 and correct.sum() == 3 and correct[0] == 1 and correct[2] == 0
    assert pck([(correct, total), (correct, total)]) == pytest.approx(3 / 5)
    assert correct_keypoints(predicted, truth, share=0.1, of="torso")[0].sum() == 2
    truth[0, 8] = 0
    assert correct_keypoints(predicted, truth, share=0.1, of="torso")[1].sum() == 0
    assert np.isnan(pck([]))
