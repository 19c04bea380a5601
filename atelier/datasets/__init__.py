"""Readers and writers of the folder layouts that teams have on disk, local or in an object store.

A reader gives samples that hold addresses, not pictures: decoding is the stages' work, the same in training as in
inference. The closet writes the same layouts, so every reader is tried without a licensed data set.
"""

from atelier.datasets.samples import PoseTransferSample, TextSample, TryOnSample

__all__ = ["PoseTransferSample", "TextSample", "TryOnSample"]
