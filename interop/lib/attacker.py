"""Sends a gateway of the rig what it should never get: random, truncated and mutated datagrams on all ports.

It listens on the bridge's port to the gateway and takes what real clients send as the seeds, so that cookies, SPIs and message IDs are valid;
senders are its own address, many made-up ones, and the addresses and ports of the clients themselves.
usage, inside the namespace wan: attacker.py PORT GATEWAY GO-FILE SECONDS RATE SEED
It only listens until GO-FILE exists; then it sends and prints what it sent as one line of JSON.
"""
import collections
import json
import os
import random
import select
import socket
import struct
import sys
import time

ETH_P_ALL, UDP, ESP = 3, 17, 50
PORTS = (500, 4500, 1701)
MARKER = bytes(4)  # before IKE on UDP 4500
Seed = collections.namedtuple("Seed", "source sport protocol dport payload")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def frame(macs, source, target, protocol, body, dice):
    """An Ethernet frame with one IPv4 packet; the UDP checksum inside body is left out."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), dice.getrandbits(16), 0, 64, protocol, 0,
                     socket.inet_aton(source), socket.inet_aton(target))
    return macs + b"\x08\x00" + ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + body


class Attacker:
    def __init__(self, port, gateway, seed):
        self.gateway, self.dice = gateway, random.Random(seed)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((port, ETH_P_ALL))
        self.macs = None
        self.ike, self.data = [], []  # seeds; IKE is rare and kept apart
        self.sent = collections.Counter()

    # -- listening --
    def listen(self, seconds):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and select.select([self.socket], [], [], left)[0]:
            self.learn(self.socket.recv(65536))  # never what this socket sent itself

    def learn(self, packet):
        if packet[12:14] != b"\x08\x00" or socket.inet_ntoa(packet[30:34]) != self.gateway:
            return
        self.macs = packet[0:6] + b"\x02\x00\x00\x00\x66\x66"
        header, protocol, source = (packet[14] & 15) * 4, packet[23], socket.inet_ntoa(packet[26:30])
        body = packet[14 + header:14 + int.from_bytes(packet[16:18], "big")]
        if protocol == UDP and len(body) > 8:
            sport, dport = struct.unpack("!HH", body[:4])
            if dport in PORTS:
                self.keep(Seed(source, sport, UDP, dport, body[8:]))
        elif protocol == ESP:
            self.keep(Seed(source, 0, ESP, 0, body))

    def keep(self, seed):
        ike = seed.dport == 500 or (seed.dport == 4500 and seed.payload[:4] == MARKER)
        pool = self.ike if ike else self.data
        if len(pool) < 300:
            pool.append(seed)
        else:
            pool[self.dice.randrange(300)] = seed

    # -- sending --
    def strike(self):
        dice = self.dice
        seed = dice.choice(dice.choice([pool for pool in (self.ike, self.data) if pool]))
        kind, change = dice.choice(CHANGES)
        payload = change(self, seed)[:1400]
        dport = seed.dport if dice.random() < 0.8 else dice.choice((*PORTS, dice.randrange(1, 65536)))
        stranger = f"203.0.113.{dice.randrange(64, 96)}", dice.choice((seed.sport, dice.randrange(1, 65536)))
        source, sport = dice.choice(((seed.source, seed.sport), stranger))
        protocol = seed.protocol if dice.random() < 0.9 else dice.choice((UDP, ESP))
        body = payload if protocol == ESP else struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
        self.socket.send(frame(self.macs, source, self.gateway, protocol, body, dice))
        self.sent[kind] += 1

    def random_bytes(self, _seed):
        return self.dice.randbytes(self.dice.choice((0, 1, 3, 4, 8, 27, 28, 29, 100, 1400)))

    def behind_valid_head(self, seed):
        """The identifiers of a live session, then noise."""
        head = self.dice.choice((8, 12, 20, 28, 32))
        return seed.payload[:head] + self.dice.randbytes(self.dice.randrange(0, 600))

    def truncated(self, seed):
        return seed.payload[:self.dice.randrange(0, len(seed.payload) + 1)]

    def extended(self, seed):
        return seed.payload + self.dice.randbytes(self.dice.randrange(1, 300))

    def flipped(self, seed):
        data = bytearray(seed.payload)
        for _ in range(self.dice.choice((1, 2, 8, 40))):
            data[self.dice.randrange(len(data))] ^= 1 << self.dice.randrange(8)
        return bytes(data)

    def lying_lengths(self, seed):
        """Extreme values where IKE, ESP and L2TP have lengths, types and flags."""
        data = bytearray(seed.payload)
        for _ in range(self.dice.choice((1, 3))):
            at = self.dice.randrange(0, max(1, len(data) - 4))
            data[at:at + 2] = self.dice.choice((b"\0\0", b"\xff\xff", b"\x80\0", b"\0\1", b"\0\3", b"\x7f\xff"))
        return bytes(data)

    def spliced(self, seed):
        other = self.dice.choice(self.ike + self.data).payload
        return seed.payload[:self.dice.randrange(len(seed.payload))] + other[self.dice.randrange(len(other)):]

    def replayed(self, seed):
        return seed.payload

    def new_exchange(self, seed):
        """An IKE message of an initiator never seen before: the first eight bytes of the header are its cookie."""
        at = 4 if seed.payload[:4] == MARKER else 0
        return seed.payload[:at] + self.dice.randbytes(8) + seed.payload[at + 8:]


CHANGES = [(change.__name__, change) for change in (
    Attacker.random_bytes, Attacker.behind_valid_head, Attacker.truncated, Attacker.extended, Attacker.flipped,
    Attacker.lying_lengths, Attacker.spliced, Attacker.replayed, Attacker.new_exchange)]


def main(port, gateway, go, seconds, rate, seed):
    attacker = Attacker(port, gateway, int(seed))
    while not os.path.exists(go):
        attacker.listen(0.2)
    began, count = time.monotonic(), 0
    while (spent := time.monotonic() - began) < float(seconds):
        due = int(spent * float(rate))
        for _ in range(min(due - count, 50)):
            attacker.strike()
        count = due
        attacker.listen(0.01)
    print(json.dumps({"sent": attacker.sent.total(), "seeds": len(attacker.ike) + len(attacker.data), **attacker.sent}))


if __name__ == "__main__":
    main(*sys.argv[1:])
