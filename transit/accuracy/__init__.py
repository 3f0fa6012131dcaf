"""Recorded days replayed through the tracker, and how good the predictions were."""
