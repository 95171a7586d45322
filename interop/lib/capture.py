"""tcpdump for the length of a with block."""
import signal
import struct
import time
from collections import namedtuple


from .shell import end, spawn, wait_for

Packet = namedtuple("Packet", "time source destination protocol sport dport payload")
OURS = "udp port 500 or udp port 4500 or udp port 1701 or ip proto 50 or (ip[6:2] & 0x1fff != 0)"


class Capture:
    def __init__(self, path, namespace="srv", device="eth0", expression=OURS):
        self.path, self.namespace, self.device, self.expression = path, namespace, device, expression

    def __enter__(self):
        self.path.unlink(missing_ok=True)
        self.process = spawn("tcpdump", "-i", self.device, "-U", "-s", "0", "-Z", "root", "-w", self.path, self.expression,
                             namespace=self.namespace)
        wait_for(lambda: self.path.exists() and self.path.stat().st_size >= 24, 10, "tcpdump starts")
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        end(self.process, signal.SIGTERM)

    def packets(self):
        return list(read_pcap(self.path))


def read_pcap(path):
    """The IPv4 packets of an Ethernet capture."""
    data = path.read_bytes()
    at = 24
    while at + 16 <= len(data):
        seconds, micros, length = struct.unpack_from("<III", data, at)
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if len(frame) < 34 or frame[12:14] != b"\x08\x00":
            continue
        ip = frame[14:]
        header, total = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], "big")
        body, sport, dport = ip[header:total], 0, 0
        if ip[9] == 17 and len(body) >= 8:
            sport, dport, body = int.from_bytes(body[0:2], "big"), int.from_bytes(body[2:4], "big"), body[8:]
        yield Packet(seconds + micros / 1e6, ".".join(map(str, ip[12:16])), ".".join(map(str, ip[16:20])), ip[9], sport, dport, body)
