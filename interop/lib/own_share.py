"""The gateway's own share of a connection: the sum of the gaps from each request to its reply, in a capture at the gateway.

The capture is decrypted by tshark with the keys that the client's kernel shows, so that a reply is known for what it is:
IKE by its exchange, an L2TP control message by the number that it acknowledges, a PPP packet by protocol and identifier.
"""
import re
from collections import namedtuple

from .settings import GATEWAY
from .shell import Failure, run

FIELDS = ("frame.time_epoch", "ip.src", "isakmp.exchangetype", "isakmp.messageid", "l2tp.type", "l2tp.Ns", "l2tp.Nr",
          "l2tp.avp.message_type", "ppp.protocol", "ppp.code", "ppp.identifier", "chap.code", "chap.identifier", "pap.code", "pap.identifier")
Row = namedtuple("Row", "time source exchange message_id type ns nr avp protocol code identifier")  # codes and identifiers as numbers
STATE = re.compile(r"spi (0x[0-9a-f]+).*?auth-trunc hmac\((\w+)\) (0x[0-9a-f]+) \d+\s+enc cbc\((\w+)\) (0x[0-9a-f]+)", re.S)
CIPHERS = {"aes": "AES-CBC [RFC3602]", "des3_ede": "TripleDES-CBC [RFC2451]"}
AUTHENTICATIONS = {"sha1": "HMAC-SHA-1-96 [RFC2404]", "sha256": "HMAC-SHA-256-128 [RFC4868]"}
CONF_REQ, CONF_ACK, PROTOCOL_REJECT, CHAP_RESPONSE, PAP_REQUEST = 1, 2, 8, 2, 1
LCP, IPCP, CHAP, PAP = "0xc021", "0x8021", "0xc223", "0xc023"
STEPS = {"2": "Main Mode", "32": "Quick Mode"}


def decoded(path, xfrm_state):
    """The capture's packets as tshark sees them with the keys of `ip xfrm state`."""
    keys = ["-o", "esp.enable_encryption_decode:TRUE"]
    for spi, authentication, auth_key, cipher, key in STATE.findall(xfrm_state):
        keys += ["-o", f'uat:esp_sa:"IPv4","*","*","{spi}","{CIPHERS[cipher]}","{key}","{AUTHENTICATIONS[authentication]}","{auth_key}"']
    wanted = [word for field in FIELDS for word in ("-e", field)]
    text = run("tshark", "-r", path, *keys, "-T", "fields", "-E", "occurrence=f", *wanted, check=False).stdout
    return [to_row(words) for words in (line.split("\t") for line in text.splitlines()) if len(words) == len(FIELDS)]


def to_row(words):
    """One PPP code and identifier, from whichever protocol has them."""
    code, identifier = ("".join(words[first::2]) for first in (9, 10))
    return Row(float(words[0]), *words[1:9], int(code, 0) if code else None, int(identifier, 0) if identifier else None)


def own_share(path, xfrm_state):
    """-> [(what was asked, milliseconds until the reply)], from Main Mode 1 to the last IPCP Ack"""
    rows = decoded(path, xfrm_state)
    acks = [number for number, row in enumerate(rows) if row.protocol == IPCP and row.code == CONF_ACK]
    if not acks:
        raise Failure(f"no IPCP Ack found in {path}: could it be decrypted?")
    rows = rows[:acks[-1] + 1]
    gaps = []
    for number, row in enumerate(rows):
        asked = request(row) if row.source != GATEWAY else None
        reply = asked and next((later for later in rows[number + 1:] if later.source == GATEWAY and answers(later, row)), None)
        if reply:
            gaps.append((asked, (reply.time - row.time) * 1000))
    return gaps


def request(row):
    """What the client asks for with this packet; None when it wants no reply."""
    if row.exchange in STEPS:
        return STEPS[row.exchange]
    if row.avp:
        return f"L2TP message {row.avp}"
    if row.code == {CHAP: CHAP_RESPONSE, PAP: PAP_REQUEST}.get(row.protocol, CONF_REQ):
        return f"PPP {row.protocol} request"
    return None


def answers(reply, row):
    if row.exchange:
        return reply.exchange == row.exchange and reply.message_id == row.message_id
    if row.avp:
        return reply.type == "1" and reply.nr == str(int(row.ns) + 1)
    same = reply.protocol == row.protocol and reply.identifier == row.identifier and reply.code != row.code
    return same or (reply.protocol == LCP and reply.code == PROTOCOL_REJECT and row.protocol not in (LCP, CHAP, PAP))
