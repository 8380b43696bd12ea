"""The bare LLM beside the one within a model."""
