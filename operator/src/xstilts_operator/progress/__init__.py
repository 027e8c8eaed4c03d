"""Progress of running stages: their pods post it, the operator checks who asks and writes it into the stage's status."""
