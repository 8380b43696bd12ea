"""Distorted recordings: which, and what they do to perplexity and WER."""
