"""From data files to batches: examples, token ids, windows, training order and task mixing."""
