"""Counts first, ratios last: what can be summed over batches and processes."""
