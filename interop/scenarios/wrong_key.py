"""A wrong pre-shared key: the client is told, the log names the cause, and the right key works at once."""
import re

from lib.settings import GATEWAY, PSK


def scenario(rig):
    rig.start_gateway()
    client = rig.client(psk="not-the-key-of-this-rig", ike_timeout=20)
    rig.boot(client)
    with rig.capture("gateway") as capture:
        outcome = client.try_connect()
    rig.check(outcome.status in (10, 11), "refused in IKE")
    told = sum(packet.source == GATEWAY and packet.dport != 500 and notify_in_clear(packet.payload)
               for packet in capture.packets())
    rig.check(told == 1, f"the gateway sent {told} clear-text notify")
    notify = re.findall(r".*(?:notify|NOTIFY|N\(|payload malformed|INFORMATIONAL).*", client.log("charon.log"))
    rig.check(notify, f"the client's log shows it: {notify[-1].strip() if notify else ''}")
    rig.gateway.attempt(cause="wrong_psk", peer="203.0.113.11")
    # charon goes on repeating message 5 under the old key; a person takes the attempt back before the next one.
    client.disconnect()
    client.connect(psk=PSK)
    rig.traffic(client, megabytes=2)
    client.disconnect()
    rig.stop_gateway()


def notify_in_clear(payload):
    """An unencrypted Informational exchange (5) on UDP 4500, behind the four zero bytes of the non-ESP marker."""
    return len(payload) > 32 and payload[:4] == b"\0\0\0\0" and payload[4 + 18] == 5 and not payload[4 + 19] & 1
