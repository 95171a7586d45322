"""From start to ppp0, interleaved with SoftEther, five runs each: at least 3 s faster; our own share of it under 50 ms."""
from statistics import median

from lib.own_share import own_share

ALONE = True  # what runs beside it would be measured as well


def scenario(rig, runs=5):
    peers = {name: rig.peer_at(name) for name in ("softether", "sekisho")}
    seconds, shares = {name: [] for name in peers}, []
    client = None
    for turn in range(1, runs + 1):
        for name, gateway in peers.items():
            rig.gateway = gateway
            gateway.start()
            if client is None:
                client = rig.client()
                rig.boot(client)
            with rig.capture(f"{name}-{turn}") as capture:
                seconds[name].append(client.connect().seconds)
            if name == "sekisho":
                gaps = own_share(capture.path, client.log("xfrm-state.txt"))
                shares.append(sum(gap for _, gap in gaps))
                slowest = max(gaps, key=lambda item: item[1])
                rig.note(f"own share {shares[-1]:.1f} ms in {len(gaps)} replies; slowest: {slowest[0]}, {slowest[1]:.1f} ms")
            client.disconnect()
            gateway.stop()
    ours, theirs = median(seconds["sekisho"]), median(seconds["softether"])
    for name, values in seconds.items():
        rig.note(f"{name}: median {median(values):.1f} s of {', '.join(f'{value:.1f}' for value in values)}")
    rig.note(f"difference {theirs - ours:.1f} s")
    rig.check(max(shares) < 50, f"own share under 50 ms each time: {[round(share, 1) for share in shares]}")
    rig.check(theirs - ours >= 3, f"at least 3 s faster: {theirs - ours:.1f} s")
