"""A link with 100 ms delay and 3 % loss, each way: connects, moves traffic, disconnects."""


def scenario(rig, delay=100, loss=3):
    rig.start_gateway()
    rig.topology.bad_link("nat1", delay, loss)
    client = rig.client(ike_timeout=60, ppp_timeout=60)
    outcome = rig.connect(client)[0]
    rig.note(f"ppp0 after {outcome.seconds:.1f} s")
    answers = client.ping(rig.hub_gateway(client), 50)
    rig.check(answers >= 38, f"{answers} of 50 pings answered")
    for verb in ("put", "get"):
        client.bulk(verb, rig.bulk_host(client), 1_000_000, timeout=300)
    client.disconnect()
    rig.stop_gateway()
