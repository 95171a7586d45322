"""A client dies without a word and is back at once, on the same NAT mapping: taken at once, with the same address."""


def scenario(rig):
    rig.start_gateway()
    client = rig.client()
    first = rig.connect(client)[0]
    rig.traffic(client, megabytes=2)
    before = mappings(rig)
    for turn in (1, 2):
        mark = rig.gateway.position()
        client.kill()
        client.boot()
        again = client.connect()
        rig.check(mappings(rig) == before, f"same NAT mapping: {sorted(before)}")
        # A shut-out would last a minute.
        rig.check(again.seconds < first.seconds * 1.5 + 5, f"up again after {again.seconds:.1f} s (at first: {first.seconds:.1f} s)")
        rig.check(again.address == first.address, f"same address: {again.address}")
        rig.gateway.attempt(since=mark, cause="replaced_by_same_device", user="alice")
        rig.traffic(client, megabytes=2)
    rig.note(f"first {first.seconds:.1f} s, again {again.seconds:.1f} s")
    client.disconnect()
    rig.stop_gateway()


def mappings(rig):
    """The outer ports that the router has given to the client's two IKE ports."""
    return {line.split("dport=")[-1].split()[0] for line in rig.topology.mappings("nat1").splitlines()
            if "dport=4500 " in line or "dport=500 " in line}
