"""libreswan, and strongSwan with swanctl.conf and an L2TP port that is not 1701, each alone behind a NAT."""
CASES = {"libreswan": {"stack": "libreswan", "port": 1701, "clients": ["libreswan + xl2tpd"]},
         "swanctl": {"stack": "swanctl", "port": 0, "clients": ["strongSwan (swanctl) + xl2tpd"]}}


def scenario(rig, stack, port, clients):
    rig.start_gateway()
    client = rig.client(stack=stack, l2tp_port=port)
    outcome = rig.connect(client)[0]
    rig.note(f"ppp0 after {outcome.seconds:.1f} s")
    rig.traffic(client)
    client.disconnect()
    client.connect()
    rig.traffic(client, megabytes=2)
    client.disconnect()
    rig.stop_gateway()
