"""What a client's own settings, an account, or a silent name server can do: each gets its own cause, and soon."""
import json
import time

from lib.gateway import default_config
from lib.settings import BINARY, WORLD
from lib.shell import run

OWN_ADDRESS = "10.9.9.9"


def scenario(rig):
    config = default_config()
    config["ppp"] = {"auth": ["mschapv2"]}
    users = config["hubs"]["HUB1"]["users"]
    shut = "20:00-21:00" if time.gmtime().tm_hour < 18 else "06:00-07:00"
    users["off"] = {"password": "off-pw", "disabled": True}
    users["late"] = {"password": "late-pw", "hours": f"mon-sun {shut}"}
    users["gone"] = {"password": "gone-pw", "expires": "2026-01-31"}
    config["hubs"]["HUB1"]["dhcp"]["dns"] = [WORLD]
    rig.start_gateway(config)
    client = rig.client()
    rig.boot(client)

    def refused(cause, status=None, user="alice", **changes):
        since = rig.gateway.position()
        outcome = client.try_connect(user=user, password=changes.pop("password", f"{user}-pw"), **changes)
        rig.check(outcome.status == status if status else not outcome.up, f"{cause}: {outcome.stage}")
        client.disconnect()
        return rig.gateway.attempt(since, cause=cause)

    for user, cause in (("off", "user_disabled"), ("late", "out_of_hours"), ("gone", "account_expired")):
        refused(cause, 30, user)
    refused("no_common_auth", auth=("pap",))
    client.configure(auth=("mschap-v2",))

    # L2TP's own secret, which nobody has configured here.
    client.configure(user="alice", password="alice-pw", files={})
    asking = client.options.render()["xl2tpd/xl2tpd.conf"].replace("[lac vpn]\n", "[lac vpn]\nchallenge = yes\n")
    record = refused("l2tp_refused", files={"xl2tpd/xl2tpd.conf": asking, "xl2tpd/l2tp-secrets": "* * nobody-knows\n"})
    rig.check("tunnel secret" in record["note"], f"and why: {record['note']}")

    # An address of its own, which pppd does not give up.
    client.configure(files={})
    stubborn = client.options.render()["ppp/options.vpn"].replace("ipcp-accept-local\n", f"{OWN_ADDRESS}:\n")
    since = rig.gateway.position()
    outcome = client.try_connect(files={"ppp/options.vpn": stubborn})
    if outcome.up:
        rig.check(client.address == OWN_ADDRESS, f"pppd keeps to {client.address}")
        rig.cannot_reach(client, "10.60.0.1")
    client.disconnect()
    rig.gateway.attempt(since, cause="address_refused")

    # Name servers that say nothing, asked by the client's own resolver.
    client.connect(files={})
    run("nft", "-f", "-", namespace="world", stdin=(
        "table ip silent { chain input { type filter hook input priority 0; udp dport 53 drop; }; }"))
    began = time.monotonic()
    asked = client.start(f"echo nameserver {WORLD} > /etc/resolv.conf; getent hosts www.example.org")
    why = ""
    while "dns_unreachable" not in why and time.monotonic() < began + 30:
        why = run(BINARY, "ctl", "--state-dir", rig.folder / "state", "--json", "why", "alice", namespace="srv", check=False).stdout
        time.sleep(0.3)
    story = json.loads(why.splitlines()[0]) if why else {}
    rig.check(story.get("cause") == "dns_unreachable" and WORLD in story.get("note", ""),
              f"silent name servers have their name after {time.monotonic() - began:.1f} s: {story.get('note')}")
    client.wait(asked)
    since = rig.gateway.position()
    client.disconnect()
    rig.gateway.attempt(since, cause="dns_unreachable", user="alice")

    client.connect()
    rig.traffic(client, megabytes=1)
    client.disconnect()
    rig.stop_gateway()
