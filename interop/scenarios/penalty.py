"""A wrong password several times: the source is slowed down, then barred with its cause; `ctl ban` shows it and lets it off."""
import json

from lib.gateway import default_config
from lib.settings import BINARY
from lib.shell import run

NAT = "203.0.113.11"


def scenario(rig):
    config = default_config()
    config["penalties"] = {"slow_after": 2, "bar_after": 3, "bar_for": "1h"}
    rig.start_gateway(config)

    def ctl(*words):
        answer = run(BINARY, "ctl", "--state-dir", rig.gateway.folder / "state", "--json", *words, namespace="srv").stdout
        return [json.loads(line) for line in answer.splitlines() if line]

    client = rig.client(ike_timeout=20)
    rig.boot(client)
    for n in range(3):
        since = rig.gateway.position()
        outcome = client.try_connect(password="not-her-password")
        rig.check(outcome.status == 30, f"attempt {n + 1} is refused at PPP authentication")
        rig.gateway.attempt(since, cause="wrong_password", user="alice", peer=NAT)
        client.disconnect()
    bans = {row["who"]: row["state"] for row in ctl("ban", "list")}
    rig.check(bans.get(NAT) == "barred", f"ctl ban list: {bans}")
    since = rig.gateway.position()
    outcome = client.try_connect(password="alice-pw")
    rig.check(outcome.status in (10, 11), "the right password does not come through")
    rig.gateway.attempt(since, cause="banned", peer=NAT)
    client.disconnect()
    rig.check([row["who"] for row in ctl("ban", "clear", NAT)] == [NAT], "ctl ban clear")
    client.connect(password="alice-pw")
    rig.traffic(client, megabytes=2)
    client.disconnect()
    rig.stop_gateway()
