"""Cross-lingual transfer experiments: from a TransferExperiment to an XTREME table."""
