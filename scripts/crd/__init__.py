"""The parts that scripts/crds.py makes the custom resource definitions of."""
