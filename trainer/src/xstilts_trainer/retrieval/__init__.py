"""Retrieval without training: sentences as vectors, nearest neighbours, and mining for parallel pairs."""
