"""The tasks, by the words that catalogs have for them."""

from __future__ import annotations

TRY_ON, POSE_TRANSFER, TEXT_TO_PERSON = "try_on", "pose_transfer", "text_to_person"
