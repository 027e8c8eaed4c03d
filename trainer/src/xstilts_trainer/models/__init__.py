"""Pretrained encoders, the heads on them, and how both lie in a folder."""
