"""The operator's speed on a real control plane, beside plain Jobs and Kubeflow's training-operator."""
