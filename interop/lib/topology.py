"""The network: namespaces of our own, nothing of the machine's.

        world                        srv                          wan: a bridge, "the Internet"
  198.51.100.1 (lo)           the gateway under test                      |
  192.0.2.2  eth0 ---- out0 192.0.2.1   203.0.113.1 eth0 -----------------+--- clients without NAT 203.0.113.101 ...
  no way back to                                                          |
  any hub's network                            203.0.113.11 wan +---------+---------+ wan 203.0.113.12
                                                               nat1                nat2
                                               10.77.0.1/24 lan +                   + lan 10.77.0.1/24
                                                                |                   |     (the same range on purpose)
                                                   clients 10.77.0.101 ...     clients 10.77.0.101 ...

Clients are User-Mode Linux machines on tap devices, or containers on veth pairs, in the bridges lan and wan.
"""
import contextlib
import os
import signal
import time

from .settings import GATEWAY, PREFIX, WORLD
from .shell import run, spawn, end, wait_for

NAMES = ("srv", "world", "wan", "nat1", "nat2")
ROUTERS = {"nat1": "203.0.113.11", "nat2": "203.0.113.12"}


def ip(namespace, *words, check=True):
    return run("ip", "-n", f"{PREFIX}-{namespace}", *words, check=check)


def add_namespace(name):
    run("ip", "netns", "add", f"{PREFIX}-{name}")
    run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1", namespace=name)
    ip(name, "link", "set", "lo", "up")


def delete_namespace(name):
    """With every process in it: left-overs of a killed run included."""
    full = f"{PREFIX}-{name}"
    for _ in range(50):
        pids = run("ip", "netns", "pids", full, check=False).stdout.split()
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.1)
    run("ip", "netns", "del", full, check=False)


def plain_packets(namespace, device):
    """No offloads: captures and peers in user space shall see the packets and checksums of a real wire."""
    run("ethtool", "-K", device, "tx", "off", "rx", "off", "gro", "off", "gso", "off", "tso", "off", namespace=namespace, check=False)


def plug(bridge_namespace, bridge, port, namespace, device, address=None):
    """A cable from a bridge to a device in another namespace."""
    ip(bridge_namespace, "link", "add", port, "type", "veth", "peer", "name", device, "netns", f"{PREFIX}-{namespace}")
    if bridge:
        ip(bridge_namespace, "link", "set", port, "master", bridge)
    ip(bridge_namespace, "link", "set", port, "up")
    plain_packets(bridge_namespace, port)
    plain_packets(namespace, device)
    if address:
        ip(namespace, "addr", "add", address, "dev", device)
    ip(namespace, "link", "set", device, "up")


class Topology:
    def __init__(self):
        self.wires = []

    def up(self):
        self.down()
        for name in NAMES:
            add_namespace(name)
        for namespace, bridge in (("wan", "wan0"), ("nat1", "lan"), ("nat2", "lan")):
            ip(namespace, "link", "add", bridge, "type", "bridge")
            ip(namespace, "link", "set", bridge, "up")
        plug("wan", "wan0", "to-srv", "srv", "eth0", f"{GATEWAY}/24")
        plug("world", None, "eth0", "srv", "out0", "192.0.2.1/24")
        ip("world", "addr", "add", "192.0.2.2/24", "dev", "eth0")
        ip("world", "addr", "add", f"{WORLD}/32", "dev", "lo")
        ip("srv", "route", "add", f"{WORLD}/32", "via", "192.0.2.2")
        for name, address in ROUTERS.items():
            plug("wan", "wan0", f"to-{name}", name, "wan", f"{address}/24")
            self._route(name)
        ip("srv", "route", "add", "10.77.0.0/24", "via", ROUTERS["nat1"])  # used only while nat1 does not translate

    def _route(self, name):
        run("sysctl", "-qw", "net.ipv4.ip_forward=1", namespace=name)
        ip(name, "addr", "add", "10.77.0.1/24", "dev", "lan")
        ip(name, "route", "add", "default", "via", GATEWAY)
        self.nat(name, "on")

    def down(self):
        for wire in self.wires:
            end(wire)
        self.wires = []
        for line in run("ip", "netns", "list").stdout.splitlines():
            if line.split()[0].startswith(f"{PREFIX}-"):
                delete_namespace(line.split()[0].removeprefix(f"{PREFIX}-"))

    # -- knobs --
    def nat(self, router, mode):
        """on: keeps source ports where it can; random: never does; off: plain routing"""
        rules = {"on": "masquerade", "random": "masquerade fully-random", "off": None}[mode]
        run("nft", "flush", "ruleset", namespace=router)
        if rules:
            run("nft", "-f", "-", namespace=router, stdin="table ip nat {\n chain post {\n"
                f"  type nat hook postrouting priority 100;\n  oifname \"wan\" {rules}\n }}\n}}\n")

    def rebind(self, router):
        """The router forgets every mapping, as after a restart."""
        run("conntrack", "-F", namespace=router, check=False)

    def mappings(self, router):
        return run("conntrack", "-L", "-p", "udp", namespace=router, check=False).stdout

    def bad_link(self, router, delay_ms, loss_percent):
        """Replaces the router's cable to the wan by a wire in user space that delays and loses frames, each way."""
        from .settings import INTEROP
        ip("wan", "link", "del", f"to-{router}")
        self.wires.append(spawn("python3", INTEROP / "lib/wire.py", f"to-{router}", "wan0", f"{PREFIX}-{router}", "wan",
                                delay_ms, loss_percent, namespace="wan"))
        wait_for(lambda: "wan:" in ip(router, "-o", "link", check=False).stdout, 10, "the bad link's devices")
        ip(router, "addr", "add", f"{ROUTERS[router]}/24", "dev", "wan")
        ip(router, "link", "set", "wan", "up")
        ip(router, "route", "add", "default", "via", GATEWAY)

    # -- places for clients --
    @staticmethod
    def bridge(where):
        return "wan0" if where == "wan" else "lan"

    def add_tap(self, where, name):
        ip(where, "link", "del", name, check=False)
        ip(where, "tuntap", "add", "dev", name, "mode", "tap")
        ip(where, "link", "set", name, "master", self.bridge(where), "up")

    def plugged(self, where, name, yes):
        """Whether the bridge passes frames of this port; the device itself stays up, for a tap's reader takes its loss badly."""
        ip(where, "link", "set", name, "type", "bridge_slave", "state", 3 if yes else 0)

    def remove_port(self, where, name):
        ip(where, "link", "del", name, check=False)
