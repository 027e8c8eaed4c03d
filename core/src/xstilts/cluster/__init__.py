"""The commands' side of a cluster: read what the operator has written, and edit experiments.

`client` alone imports kubernetes (the extra `cluster`), and only when a cluster is asked.
"""
