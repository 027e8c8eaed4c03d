"""The trainer's speed on a CPU, beside transformers' Trainer."""
