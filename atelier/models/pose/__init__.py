"""Keypoints of a person, in BODY_25's order."""
