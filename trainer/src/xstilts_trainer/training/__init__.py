"""The training loop on plain torch: deterministic, resumable to the bit."""
