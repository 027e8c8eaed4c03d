"""A real single-node Kubernetes on this machine by one command, without a container registry or Docker.

`make cluster` starts it and `make cluster-down` ends it: the test control plane's servers (`controlplane.plane`), and
beside them containerd with runc, a kubelet, a bridge network, kube-proxy and CoreDNS. `make cluster-images` builds both
Dockerfiles and puts the images on the node. Where Docker runs, kind does all that instead (`node.kind`).

`place` says where everything lies, `single` what starts in which order, `leftovers` what is removed at the end.
"""
