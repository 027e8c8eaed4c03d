"""What bench/retrieval.py measures."""
