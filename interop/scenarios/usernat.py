"""The gateway as an ordinary user: its clients reach the world through its sockets: TCP, name service, ping."""
import os
import stat

from lib.settings import WORLD, WORLD_SEES
from lib.shell import run, spawn, wait_for


def scenario(rig):
    config = rig.config()
    for hub in config["hubs"].values():
        hub["uplink"] = "usernat"
        hub["dhcp"].pop("dns")
    # What an administrator grants: the ports, and pings.
    run("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0", "net.ipv4.ping_group_range=0 2147483647", namespace="srv")
    rig.folder.chmod(rig.folder.stat().st_mode | stat.S_IRWXO)
    rig.gateway_user = "nobody"
    rig.start_gateway(config)
    uid = os.stat(f"/proc/{rig.gateway.process.pid}").st_uid
    rig.check(uid != 0, f"the gateway runs as user {uid}")
    capabilities = [line.split()[1] for line in open(f"/proc/{rig.gateway.process.pid}/status") if line.startswith("CapEff")]
    rig.check(int(capabilities[0], 16) == 0, "and has no rights")

    client = rig.client()
    rig.connect(client)
    seen = client.seen_as(WORLD)
    rig.check(seen == WORLD_SEES, f"the server beyond sees {seen}")
    rig.ping(client, rig.hub_gateway(client))
    rig.ping(client, WORLD)
    for verb in ("put", "get"):
        client.bulk(verb, WORLD, 5_000_000, timeout=180)
    client.disconnect()
    rig.stop_gateway()
