"""What Prometheus scrapes: results and stages from the resources' state, and how the operator itself fares."""
