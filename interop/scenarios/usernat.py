"""The gateway as an ordinary user: its clients reach the world through its sockets: curl, name service, ping."""
import os
import stat

from lib.settings import WORLD, WORLD_SEES
from lib.shell import end, run, spawn, wait_for

NAME = "www.rig.example"


def scenario(rig):
    config = rig.config()
    for hub in config["hubs"].values():
        hub["uplink"] = "usernat"
        hub["dhcp"].pop("dns")
    # What an administrator grants: the ports, and pings.
    run("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0", "net.ipv4.ping_group_range=0 2147483647", namespace="srv")
    rig.folder.chmod(rig.folder.stat().st_mode | stat.S_IRWXO)
    rig.start_gateway(config, user="nobody", resolver=WORLD)
    process = f"/proc/{rig.gateway.process.pid}"
    rig.check(os.stat(process).st_uid != 0, f"the gateway runs as user {os.stat(process).st_uid}")
    with open(f"{process}/status") as status:
        rights = [int(line.split()[1], 16) for line in status if line.startswith(("CapEff", "CapPrm", "CapBnd"))]
    rig.check(rights == [0, 0, 0], "and has no right of root's")
    servers = serve_world(rig)

    client = rig.client()
    rig.connect(client)
    seen = client.seen_as(WORLD)
    rig.check(seen == WORLD_SEES, f"the server beyond sees {seen}")
    gateway = rig.hub_gateway(client)
    rig.ping(client, gateway)
    rig.ping(client, WORLD)
    rig.check(client.ping("203.0.113.11", 3) == 3, "another host is reached, too")

    client.sh(f"echo nameserver {gateway} > /etc/resolv.conf")
    found = client.sh(f"getent hosts {NAME}").output.split()
    rig.check(found[:1] == [WORLD], f"the gateway's name server says that {NAME} is {found[:1]}")
    curl = rig.lend(client, "curl")
    told = client.sh(f"{curl} -sS -w '%{{http_code}} %{{size_download}}' -o /tmp/page http://{NAME}:8080/page && sha256sum /tmp/page", 120).output
    page = run("sha256sum", rig.folder / "www" / "page").stdout.split()[0]
    rig.check("200 3000000" in told and page in told, f"curl gets the whole page: {told.split()}")
    refused = client.sh(f"{curl} -sS --max-time 20 http://{NAME}:8081/ 2>&1; true").output
    rig.check("(7)" in refused, f"a closed port refuses: {refused.strip()}")
    for verb in ("put", "get"):
        client.bulk(verb, WORLD, 5_000_000, timeout=180)

    flows = ctl(rig, "nat", "list")
    kinds = {row["protocol"] for row in flows if row["client"].startswith(f"{client.address}:")}
    rig.check({"dns", "icmp"} <= kinds, f"`ctl nat list` has the client's flows: {len(flows)} of {sorted(kinds)}")
    client.disconnect()
    rig.each(servers, end)
    rig.stop_gateway()


def serve_world(rig):
    """A web server and a name server beyond the gateway."""
    folder = rig.folder / "www"
    folder.mkdir()
    (folder / "page").write_bytes(os.urandom(3_000_000))
    servers = [spawn("python3", "-m", "http.server", "8080", "--directory", folder, namespace="world"),
               spawn("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
                     f"--listen-address={WORLD}", "--bind-interfaces", f"--address=/{NAME}/{WORLD}",
                     f"--pid-file={rig.folder / 'dnsmasq.pid'}", namespace="world")]
    for table, port in (("-ltn", 8080), ("-lun", 53)):
        wait_for(lambda: f":{port} " in run("ss", table, namespace="world").stdout, 10, f"port {port} is served")
    return servers


def ctl(rig, *words):
    import json
    from lib.settings import BINARY
    answer = run(BINARY, "ctl", "--state-dir", rig.gateway.folder / "state", "--json", *words, namespace="srv").stdout
    return [json.loads(line) for line in answer.splitlines() if line]
