"""From files to batches; knows no model."""
