"""TCP for minutes across rekeys, all lifetimes 30 s: not a byte lost, no interruption (five minutes; --set seconds=90 for less)."""
CASES = {"rekey": {"stack": "strongswan"}, "rekey-libreswan": {"stack": "libreswan", "clients": ["libreswan + xl2tpd"]}}
ESTABLISHED = {"strongswan": ("charon.log", r"IKE_SA vpn\[\d+\] established", r"CHILD_SA vpn\{\d+\} established"),
               "libreswan": ("pluto.log", r"ISAKMP SA established|IKE SA established", r"IPsec SA established")}


def scenario(rig, stack, seconds=300, clients=None):
    import re
    rig.start_gateway()
    client = rig.client(stack=stack, sa_life=30, ike_life=30, margin=9)
    rig.connect(client)
    address, host = client.address, rig.bulk_host(client)
    ping = client.start(f"ping -n -i 0.5 -W 2 -w {seconds} {rig.hub_gateway(client)}")
    streams = [client.start_bulk(verb, host, f"{seconds}s", rate=1_000_000) for verb in ("put", "get")]
    silence = max(client.end_bulk(stream, seconds + 60)["longest_silence"] for stream in streams)
    pings = client.wait(ping, 30).output
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", pings).groups())
    log, ike, esp = ESTABLISHED[stack]
    phase1, phase2 = (len(re.findall(pattern, client.log(log))) for pattern in (ike, esp))
    rig.note(f"{seconds} s, {phase1} IKE SAs, {phase2} ESP SA pairs, longest silence {silence} s, {sent - received} of {sent} pings lost")
    rig.check(phase1 >= seconds // 30 and phase2 >= seconds // 30, "both kinds of SA were renewed every 30 s at least")
    rig.check(silence < 3, "the streams were never silent for 3 s")
    rig.check(sent == received, "no ping lost")
    rig.check(client.sh("ip -br addr show dev ppp0").output.find(address) >= 0, "ppp0 has kept its address")
    client.disconnect()
    rig.stop_gateway()
