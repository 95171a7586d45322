"""A storm of broadcasts from one client: its limiter counts, and another client's TCP transfer keeps its rate (median of five)."""
import json
import statistics
import time

from lib.settings import BINARY
from lib.shell import run, wait_for

ALONE = True  # measures rates
ROUNDS = 5
SIZE = 20_000_000
KEEPS = 0.7
ALLOWED = 50  # broadcasts a second that the limiter lets in; the storm is twenty times that (clients and gateway share a machine)
STORM = 20 * ALLOWED
MAKER = f"""exec python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
began, sent = time.monotonic(), 0
while True:
    while sent < (time.monotonic() - began) * {STORM}:
        sent += 1
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
    bob.sh("ip route replace 255.255.255.255 dev ppp0")

    def rate():
        return alice.bulk("get", rig.bulk_host(alice), SIZE)["mbit"]

    calm, stormy, counted, seconds = [], [], 0, 0.0
    for _ in range(ROUNDS):
        calm.append(rate())
        idle = dropped()
        bob.start(MAKER)
        wait_for(lambda: dropped() > idle + STORM // 2, 60, "the storm is there", every=0.2)
        before, began = dropped(), time.monotonic()
        stormy.append(rate())
        counted, seconds = counted + dropped() - before, seconds + time.monotonic() - began
        bob.sh("pkill -f SO_BROADCAST; true")
    calm, stormy = statistics.median(calm), statistics.median(stormy)
    rig.note(f"calm {calm:.0f} Mbit/s, under the storm {stormy:.0f} Mbit/s: {stormy / calm:.0%}; "
             f"{counted / seconds:.0f} frames a second discarded")
    rig.check(counted > 4 * ALLOWED * seconds, f"the limiter counted {counted} frames in {seconds:.0f} s")
    rig.check(stormy >= KEEPS * calm, f"the transfer keeps {stormy / calm:.0%} of its rate, at least {KEEPS:.0%}")
    rig.each([alice, bob], type(alice).disconnect)
    rig.stop_gateway()
