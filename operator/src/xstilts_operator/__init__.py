"""The Kubernetes operator of TransferExperiments."""
