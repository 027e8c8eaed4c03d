"""What to do about an experiment or a stage: pure functions of what is seen, one decision a module."""
