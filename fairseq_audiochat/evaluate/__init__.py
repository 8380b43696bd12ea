"""Evaluation: the paper's tables and figures for a user's own checkpoints, one command each."""
