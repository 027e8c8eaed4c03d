"""Pinning: an experiment file that names commits and digests, so that it means the same for ever."""

from xstilts.pinning.pins import Pin, find_pins, pin

__all__ = ["Pin", "find_pins", "pin"]
