"""Talking to a trained model: dialogues that mix speech and text."""
