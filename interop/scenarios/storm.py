"""A storm of broadcasts from one client: its limiter counts, and another client's TCP transfer keeps its rate (median of five)."""
import json
import statistics

from lib.settings import BINARY
from lib.shell import run

ROUNDS = 5
SIZE = 20_000_000
KEEPS = 0.7
STORM = """exec python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
while True:
    for _ in range(100):
        try: s.sendto(bytes(200), ("255.255.255.255", 9))
        except OSError: pass
    time.sleep(0.005)
'"""


def scenario(rig):
    rig.start_gateway()

    def dropped():
        answer = run(BINARY, "ctl", "--state-dir", rig.gateway.folder / "state", "--json", "drops", namespace="srv").stdout
        rows = [json.loads(line) for line in answer.splitlines() if line]
        return sum(row["count"] for row in rows if row["reason"] == "broadcast storm")

    alice, bob = rig.client("alice"), rig.client("bob", where="nat2", user="bob")
    rig.connect(alice, bob)

    def rate():
        return alice.bulk("get", rig.bulk_host(alice), SIZE)["mbit"]

    calm = statistics.median(rate() for _ in range(ROUNDS))
    bob.sh("ip route replace 255.255.255.255 dev ppp0")
    before = dropped()
    bob.start(STORM)
    stormy = statistics.median(rate() for _ in range(ROUNDS))
    counted = dropped() - before
    bob.sh("pkill -f SO_BROADCAST; true")
    rig.note(f"calm {calm:.0f} Mbit/s, under the storm {stormy:.0f} Mbit/s: {stormy / calm:.0%}; {counted} frames discarded")
    rig.check(counted > 1000, f"the limiter counted {counted} frames")
    rig.check(stormy >= KEEPS * calm, f"the transfer keeps {stormy / calm:.0%} of its rate, at least {KEEPS:.0%}")
    rig.each([alice, bob], type(alice).disconnect)
    rig.stop_gateway()
