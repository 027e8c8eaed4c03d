"""The trainer of one stage: fine-tuning, zero-shot evaluation, retrieval."""
