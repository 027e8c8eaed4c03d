"""From a checkpoint and data files to predictions and scores in every language."""
