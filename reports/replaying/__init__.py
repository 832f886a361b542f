"""Replay: another estimator over the stored events, held against the estimates that were logged."""
