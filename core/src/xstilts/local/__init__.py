"""Local mode: the same plan, trainer, store and report as on a cluster; only the Job is a subprocess."""
