"""L2TP without IPsec: ignored while the switch is off, and with it on only for hubs that allow it."""
CLIENTS = ["xl2tpd without IPsec"]


def scenario(rig):
    config = rig.config()
    rig.start_gateway(config)
    client = rig.client(where="wan", stack="none", ppp_timeout=20)
    rig.boot(client)
    with rig.capture("off") as capture:
        rig.check(client.try_connect().status == 20, "switched off: no L2TP session")
    rig.check(not [packet for packet in capture.packets() if packet.source == "203.0.113.1"], "switched off: not one packet in answer")
    client.sh("bash /rig/disconnect")
    rig.stop_gateway()

    config["listen"]["raw_l2tp"] = True
    config["hubs"]["HUB1"]["allow_raw_l2tp"] = True
    rig.start_gateway(config)
    client.connect()
    rig.traffic(client)
    client.disconnect()
    outcome = client.try_connect(user="dave@HUB2", password="dave-pw")
    rig.check(not outcome.up, "a hub that does not allow it refuses")
    client.sh("bash /rig/disconnect")
    rig.stop_gateway()

    config["listen"]["l2tp_secret"] = "of the tunnel"
    rig.start_gateway(config)
    client.connect(user="alice", password="alice-pw", l2tp_secret="of the tunnel")
    rig.note("xl2tpd's challenge answered")
    rig.traffic(client)
    client.disconnect()
    rig.stop_gateway()
