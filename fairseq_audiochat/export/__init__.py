"""A training's result as a folder to publish: safetensors, config.json, a model card."""
