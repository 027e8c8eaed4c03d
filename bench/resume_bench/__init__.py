"""Ending a training and going on with it, beside transformers' Trainer."""
