"""Aggressive Mode with a group: the group's own key lets it in; another group's name and the key for everybody do not."""
from lib.settings import PSK

GROUP_KEY = "nP4rTz8vKq2LmXw7HsJd"
SALES = "keyid:sales"


def scenario(rig):
    config = rig.config()
    config["ipsec"]["groups"] = {"sales": {"key": GROUP_KEY}}
    rig.start_gateway(config)
    client = rig.client(aggressive=True, left_id=SALES, psk=GROUP_KEY, ike="aes256-sha256-modp2048", ike_timeout=20)
    rig.boot(client)
    client.connect()
    rig.traffic(client, megabytes=5)
    rig.check("Aggressive Mode" in client.log("charon.log"), "the client's log shows Aggressive Mode")
    client.disconnect()
    for what, change in {"a name that is no group": {"left_id": "keyid:marketing"},
                         "the key for everybody": {"left_id": SALES, "psk": PSK}}.items():
        mark = rig.gateway.position()
        outcome = client.try_connect(**change)
        rig.check(outcome.status in (10, 11), f"{what}: refused in IKE")
        cause = "wrong_psk" if "psk" in change else "aggressive_mode_refused"
        rig.gateway.attempt(since=mark, cause=cause)
        client.disconnect()
    client.connect(aggressive=False, left_id="", psk=PSK)
    rig.traffic(client, megabytes=1)
    client.disconnect()
    rig.stop_gateway()
