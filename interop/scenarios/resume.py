"""A device loses its VPN without a word and connects again: the same address, and its TCP connections go on."""
import time


def scenario(rig, seconds=60):
    rig.start_gateway()
    client = rig.client()
    rig.connect(client)
    address = client.address
    streams = [client.start_bulk(verb, rig.bulk_host(client), f"{seconds}s", rate=300_000) for verb in ("put", "get")]
    time.sleep(10)
    mark = rig.gateway.position()
    # Stopped before they are killed: none of them shall see another die, and say goodbye for it.
    client.sh("all=$(pidof xl2tpd pppd starter charon); kill -STOP $all; kill -9 $all; "
              "ip xfrm policy flush; ip xfrm state flush; rm -f /run/*.pid /run/xl2tpd/control")
    time.sleep(3)
    rig.check(not client.is_up(), "ppp0 is gone, without a goodbye")
    again = client.connect()
    rig.check(again.address == address, f"same address: {again.address}")
    rig.gateway.attempt(since=mark, cause="replaced_by_same_device", user="alice")
    silences = []
    for stream in streams:
        report = client.end_bulk(stream, 240)
        silences.append(report["longest_silence"])
        rig.check(report["longest_silence"] > 2, f"the {report['verb']} stream was silent for {report['longest_silence']} s and went on")
    rig.note(f"TCP went on after {max(silences):.0f} s")
    client.disconnect()
    rig.stop_gateway()
