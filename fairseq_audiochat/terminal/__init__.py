"""Talking to a trained model in the terminal, and answering files of dialogues."""
