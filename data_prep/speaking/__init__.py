"""Text to speech: what is said, who says it, and the recordings."""
