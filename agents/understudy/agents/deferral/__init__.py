"""Deferring with a promise: signals, calibration, the threshold, labels, the choice of an expert, and budgets."""
