"""The bridge that node and pods share, and the kernel's settings for it."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path

from node import place
from node.commands import attempt, run

# What is needed, and beside it what kubelet and kube-proxy set by themselves: the machine gets its own back at the end.
NEEDED = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
SET_BY_OTHERS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def sysctls() -> dict[str, str]:
    """What the kernel's settings are before the node changes them."""
    names = [name for name in (*NEEDED, *SET_BY_OTHERS) if _sysctl(name).is_file()]
    return {name: _sysctl(name).read_text(encoding="ascii").strip() for name in names}


def set_sysctls(values: dict[str, str]) -> None:
    """Set them."""
    for name, value in values.items():
        _sysctl(name).write_text(value, encoding="ascii")


def start() -> None:
    """Make the bridge, and tell containerd of it."""
    set_sysctls(NEEDED)
    run("ip", "link", "add", place.BRIDGE, "type", "bridge")
    prefix = ipaddress.ip_network(place.PODS).prefixlen
    run("ip", "address", "add", f"{place.ADDRESS}/{prefix}", "dev", place.BRIDGE)
    run("ip", "link", "set", place.BRIDGE, "up")
    place.CNI.mkdir(parents=True)
    (place.CNI / "10-bridge.conflist").write_text(json.dumps(_configuration()), encoding="utf-8")


def _configuration() -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": place.BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "mtu": _mtu(),
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": place.PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(place.CURRENT / "addresses"),
        },
    }
    return {
        "cniVersion": "0.4.0",
        "name": place.NAME,
        "plugins": [bridge, {"type": "firewall", "backend": "iptables"}],
    }


def _mtu() -> int:
    """Of the way out, which pods cannot see."""
    found = re.search(r"dev (\S+)", run("ip", "-4", "route", "show", "default"))
    return int(Path(f"/sys/class/net/{found[1]}/mtu").read_text(encoding="ascii")) if found else 1500


def stop() -> None:
    """Remove the bridge, and the pods' links to it that are left."""
    if not Path(f"/sys/class/net/{place.BRIDGE}").exists():
        return
    for link in json.loads(run("ip", "-json", "link", "show", "master", place.BRIDGE)):
        attempt("ip", "link", "delete", link["ifname"])
    run("ip", "link", "delete", place.BRIDGE)


def remove_rules() -> None:
    """Take the chains of kube-proxy, kubelet and the bridge plugin out of iptables; everything else stays."""
    for program in ("iptables", "ip6tables"):
        saved = run(f"{program}-save") if attempt(f"{program}-save") else ""
        if script := removal(saved):
            run(f"{program}-restore", "--noflush", stdin=script)


def removal(saved: str) -> str:
    """From what iptables-save writes, what iptables-restore must be told so that our chains go."""
    script = []
    for table in re.findall(r"^\*.*?^COMMIT$", saved, re.MULTILINE | re.DOTALL):
        name, *lines = table.splitlines()
        ours = [line[1:].split()[0] for line in lines if re.match(r":(KUBE-|CNI-)", line)]
        calls = [line for line in lines if re.match(r"-A (?!KUBE-|CNI-).* -[jg] (KUBE-|CNI-)", line)]
        if ours:
            script += [name, *(f":{chain} -" for chain in ours), *(f"-D{line[2:]}" for line in calls)]
            script += [*(f"-F {chain}" for chain in ours), *(f"-X {chain}" for chain in ours), "COMMIT"]
    return "".join(f"{line}\n" for line in script)


def _sysctl(name: str) -> Path:
    return Path("/proc/sys") / name
