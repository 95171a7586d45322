"""udhcpc and dhclient on a TAP get leases and every option from the built-in server, keep them, and find them after a restart."""
import json
import re

from lib.gateway import default_config
from lib.settings import BINARY
from lib.shell import run, wait_for

OPTIONS = {"ntp": ["10.62.0.7"], "wins": ["10.62.0.8"], "netbios_node_type": "hybrid", "netbios_scope": "rig",
           "domain": "rig.example", "search": ["lab.example", "office.example"], "wpad": "http://proxy.rig.example/wpad.dat",
           "dns": ["10.62.0.1", "9.9.9.9"], "lease": "10m", "range": "10.62.0.10-10.62.0.50",
           "options": [{"code": 66, "text": "tftp.rig.example"}]}
# What both clients call the things that they were told.
EXPECTED = {"subnet": "255.255.255.0", "router": "10.62.0.1", "dns": "10.62.0.1 9.9.9.9", "domain": "rig.example",
            "ntpsrv": "10.62.0.7", "wins": "10.62.0.8", "lease": "600", "serverid": "10.62.0.1", "tftp": "tftp.rig.example"}


def scenario(rig):
    config = default_config()
    config["hubs"]["LAN"] = {"network": "10.62.0.0/24", "uplink": "tap", "dhcp": dict(OPTIONS),
                             "users": {"erin": {"password": "erin-pw-of-the-rig"}}}
    rig.start_gateway(config)
    tap = interface(rig)
    mac = json.loads(run("ip", "-j", "link", "show", tap, namespace="srv").stdout)[0]["address"]
    run("ip", "link", "set", tap, "up", namespace="srv")

    told = udhcpc(rig, tap)
    for key, value in EXPECTED.items():
        rig.check(told.get(key) == value, f"udhcpc was told {key} {told.get(key)}")
    rig.check(set(told.get("search", "").split()) == set(OPTIONS["search"]), f"search list {told.get('search')}")
    first = told["ip"]
    leases = ctl(rig, "dhcp", "list", "--hub", "LAN")
    rig.check([(row["address"], row["mac"], row["state"]) for row in leases] == [(first, mac, "leased")], f"{leases}")
    rig.check(udhcpc(rig, tap)["ip"] == first, "the same address again")

    folder = rig.gateway.folder
    script = folder / "dhclient-script"
    script.write_text("#!/bin/sh\nenv > %s\n" % (folder / "dhclient.env"))
    script.chmod(0o755)
    (folder / "dhclient.conf").write_text(
        "option wpad code 252 = text;\nrequest subnet-mask, routers, domain-name-servers, domain-name, domain-search,\n"
        " ntp-servers, netbios-name-servers, netbios-node-type, netbios-scope, wpad;\nsend dhcp-client-identifier \"rig\";\n")
    run("dhclient", "-1", "-v", "-cf", folder / "dhclient.conf", "-sf", script, "-lf", folder / "dhclient.leases",
        "-pf", folder / "dhclient.pid", tap, namespace="srv", timeout=60)
    heard = dict(re.findall(r"^new_(\w+)=(.*)$", (folder / "dhclient.env").read_text(), re.M))
    rig.check(heard.get("ip_address") not in (None, first), f"dhclient is another client: {heard.get('ip_address')}")
    for key, value in {"subnet_mask": "255.255.255.0", "routers": "10.62.0.1", "domain_name": "rig.example",
                       "ntp_servers": "10.62.0.7", "netbios_name_servers": "10.62.0.8", "netbios_node_type": "8",
                       "netbios_scope": "rig", "wpad": OPTIONS["wpad"], "dhcp_lease_time": "600",
                       "dhcp_renewal_time": "300", "dhcp_rebinding_time": "525"}.items():
        rig.check(heard.get(key) == value, f"dhclient was told {key} {heard.get(key)}")
    run("dhclient", "-x", "-pf", folder / "dhclient.pid", "-lf", folder / "dhclient.leases", tap, namespace="srv", check=False)

    # The file is written every five seconds, and at the end.
    rig.gateway.stop()
    rig.gateway.start()
    tap = interface(rig)
    run("ip", "link", "set", tap, "address", mac, "up", namespace="srv")
    rig.check(udhcpc(rig, tap)["ip"] == first, "the same address after a restart")
    rig.check(len(ctl(rig, "dhcp", "list", "--hub", "LAN")) == 2, "both leases are there after a restart")
    rig.stop_gateway()


def interface(rig):
    def found():
        rows = rig.gateway.records(rig.gateway.mark)
        return [row["interface"] for row in rows if row["message"] == "uplink opened" and row.get("hub") == "LAN"]
    wait_for(found, 10, "the hub's TAP is there")
    return found()[0]


def udhcpc(rig, tap):
    folder = rig.gateway.folder
    script, told = folder / "udhcpc-script", folder / "udhcpc.env"
    script.write_text(f"#!/bin/sh\n[ \"$1\" = bound ] && env > {told}\nexit 0\n")
    script.chmod(0o755)
    told.unlink(missing_ok=True)
    asked = [word for code in (15, 42, 44, 51, 54, 66, 119) for word in ("-O", str(code))]
    run("busybox", "udhcpc", "-i", tap, "-n", "-q", "-f", "-t", "5", "-T", "2", "-s", script, *asked, namespace="srv")
    return dict(line.split("=", 1) for line in told.read_text().splitlines() if "=" in line)


def ctl(rig, *words):
    answer = run(BINARY, "ctl", "--state-dir", rig.gateway.folder / "state", "--json", *words, namespace="srv").stdout
    return [json.loads(line) for line in answer.splitlines() if line]
