"""The NAT forgets its mappings in mid-session and chooses new ports: the session follows, TCP goes on."""
import re
import time


def scenario(rig):
    rig.start_gateway()
    rig.topology.nat("nat1", "random")
    client = rig.client()
    rig.connect(client)
    ping = client.start(f"ping -n -i 0.2 -W 2 -c 200 {rig.hub_gateway(client)}")
    streams = [client.start_bulk(verb, rig.bulk_host(client), "40s", rate=500_000) for verb in ("put", "get")]
    for _ in range(2):
        time.sleep(8)
        before = rig.topology.mappings("nat1")
        rig.topology.rebind("nat1")
        time.sleep(2)
        rig.check(outer_ports(before) != outer_ports(rig.topology.mappings("nat1")), "the client has a new outer port")
    silence = max(client.end_bulk(stream)["longest_silence"] for stream in streams)
    lost = 200 - int(re.search(r"(\d+) received", client.wait(ping, 60).output).group(1))
    rig.note(f"{lost} of 200 pings lost, longest silence {silence} s")
    rig.check(lost <= 10 and silence < 5, "the session followed within seconds")
    client.disconnect()
    rig.stop_gateway()


def outer_ports(conntrack):
    return set(re.findall(r"sport=4500 dport=(\d+)", conntrack))
