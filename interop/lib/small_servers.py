"""The least of a name server, a STUN server and a DHCP server, for `sekisho doctor` to ask.

usage: small_servers.py dns ADDRESS | stun ADDRESS MAPPED_ADDRESS | dhcp INTERFACE OWN_ADDRESS OFFERED_ADDRESS
"""
import contextlib
import ipaddress
import socket
import struct
import sys

COOKIE = 0x2112A442


def udp(address, port):
    socket_ = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    socket_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    socket_.bind((address, port))
    return socket_


def dns(address):
    """Answers every question with nothing, and without an error."""
    server = udp(address, 53)
    while True:
        question, peer = server.recvfrom(2048)
        server.sendto(question[:2] + b"\x81\x80" + question[4:], peer)


def stun(address, mapped):
    """RFC 5389: whoever asks seems to be MAPPED, port 4500."""
    server = udp(address, 3478)
    number = int(ipaddress.IPv4Address(mapped))
    attribute = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, 4500 ^ (COOKIE >> 16), number ^ COOKIE)
    while True:
        request, peer = server.recvfrom(2048)
        server.sendto(struct.pack("!HH", 0x0101, len(attribute)) + request[4:20] + attribute, peer)


def dhcp(interface, own, offered):
    """Offers the one address to everybody."""
    server = udp("", 67)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    own, offered = (ipaddress.IPv4Address(address).packed for address in (own, offered))
    while True:
        request, _ = server.recvfrom(2048)
        reply = bytearray(request[:240])
        reply[0], reply[16:20], reply[20:24] = 2, offered, own
        reply += b"\x35\x01\x02" + b"\x36\x04" + own + b"\x33\x04\x00\x00\x0e\x10" + b"\xff" + bytes(40)
        server.sendto(bytes(reply), ("255.255.255.255", 68))


@contextlib.contextmanager
def running(namespace, kind, *words):
    """One of them in a namespace, as long as the block lasts."""
    from .shell import end, run, spawn, wait_for
    server = spawn("python3", __file__, kind, *words, namespace=namespace)
    port = {"dns": 53, "stun": 3478, "dhcp": 67}[kind]
    wait_for(lambda: f":{port} " in run("ss", "-lun", namespace=namespace).stdout, 10, f"the {kind} server listens")
    try:
        yield
    finally:
        end(server)



if __name__ == "__main__":
    {"dns": dns, "stun": stun, "dhcp": dhcp}[sys.argv[1]](*sys.argv[2:])
