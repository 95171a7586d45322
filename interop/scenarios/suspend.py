"""A client sleeps for 90 s, as a closed laptop: its TCP connections go on when it wakes."""
import time


def scenario(rig, asleep=90):
    rig.start_gateway()
    client = rig.client()
    rig.connect(client)
    address = client.address
    streams = [client.start_bulk(verb, rig.bulk_host(client), f"{asleep + 70}s", rate=300_000) for verb in ("put", "get")]
    time.sleep(10)
    client.pause()
    time.sleep(asleep)
    client.resume()
    woke = time.monotonic()
    rig.ping(client, rig.hub_gateway(client), lost=1)
    rig.note(f"traffic {time.monotonic() - woke:.1f} s after waking")
    for stream in streams:
        report = client.end_bulk(stream, 240)
        rig.check(report["longest_silence"] >= asleep - 5, f"the {report['verb']} stream slept {report['longest_silence']} s and went on")
    rig.check(address in client.sh("ip -br addr show dev ppp0").output, "ppp0 has kept its address")
    client.disconnect()
    rig.stop_gateway()
