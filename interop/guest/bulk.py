"""Bulk TCP transfer whose checksum is compared at both ends.

bulk.py serve PORT                       answers any number of clients, until killed
bulk.py put HOST PORT BYTES [RATE]       sends random bytes; the server answers with the checksum that it computed
bulk.py get HOST PORT BYTES [RATE]       receives random bytes, followed by the server's checksum
bulk.py who HOST PORT                    prints the address under which the server sees us

BYTES may be a time such as "180s"; RATE is in bytes per second, 0 for as fast as it goes. put and get print one line
of JSON and fail when the checksums differ.
"""
import hashlib
import json
import os
import socket
import socketserver
import struct
import sys
import time

BLOCK = 65536


def amount(text):
    """-> (bytes or None, seconds or None)"""
    return (None, float(text[:-1])) if text.endswith("s") else (int(text), None)


def send_random(sock, text, rate):
    """Sends blocks, each after its length, and an empty one at the end -> (bytes, their checksum)"""
    size, seconds = amount(text)
    block_size = min(BLOCK, max(1024, rate // 10)) if rate else BLOCK
    sha, sent, began = hashlib.sha256(), 0, time.monotonic()
    while (size is None or sent < size) and (seconds is None or time.monotonic() - began < seconds):
        block = os.urandom(block_size if size is None else min(block_size, size - sent))
        sock.sendall(struct.pack("!I", len(block)) + block)
        sha.update(block)
        sent += len(block)
        if rate:
            time.sleep(max(0, sent / rate - (time.monotonic() - began)))
    sock.sendall(struct.pack("!I", 0))
    return sent, sha.hexdigest()


class Reader:
    """Reads exact lengths and remembers the longest silence, in seconds."""

    def __init__(self, sock):
        self.sock, self.silence = sock, 0.0

    def exactly(self, length):
        data = b""
        while len(data) < length:
            began = time.monotonic()
            more = self.sock.recv(length - len(data))
            self.silence = max(self.silence, time.monotonic() - began)
            if not more:
                raise ConnectionError("closed early")
            data += more
        return data

    def line(self):
        line = b""
        while not line.endswith(b"\n"):
            line += self.exactly(1)
        return line.decode().strip()

    def blocks(self):
        """What send_random() sent -> (bytes, their checksum)"""
        sha, size = hashlib.sha256(), 0
        while length := struct.unpack("!I", self.exactly(4))[0]:
            sha.update(self.exactly(length))
            size += length
        return size, sha.hexdigest()


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        reader = Reader(self.request)
        verb, text, rate = reader.line().split()
        if verb == "put":
            self.answer(f"{reader.blocks()[1]} {reader.silence}")
        elif verb == "get":
            self.answer(f"{send_random(self.request, text, int(rate))[1]} 0")
        elif verb == "who":
            self.answer(self.client_address[0])

    def answer(self, text):
        self.request.sendall(f"{text}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 16


def main(verb, *args):
    if verb == "serve":
        Server(("0.0.0.0", int(args[0])), Handler).serve_forever()
    host, port, *rest = args
    text, rate = (rest + ["0", "0"])[:2]
    sock = socket.create_connection((host, int(port)), timeout=30)
    sock.settimeout(None)
    reader = Reader(sock)
    began = time.monotonic()
    sock.sendall(f"{verb} {text} {rate}\n".encode())
    if verb == "who":
        print(reader.line())
        return 0
    size, ours = send_random(sock, text, int(rate)) if verb == "put" else reader.blocks()
    theirs, silence = reader.line().split()
    seconds = time.monotonic() - began
    print(json.dumps(dict(verb=verb, bytes=size, seconds=round(seconds, 2), mbit=round(size * 8e-6 / seconds, 1),
                          longest_silence=round(float(silence) if verb == "put" else reader.silence, 1), sha256=ours, same=ours == theirs)))
    return 0 if ours == theirs and size and size == (amount(text)[0] or size) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
