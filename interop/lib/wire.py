"""A bad cable: two tap devices joined by a process that delays frames and loses some (the kernel here may have no netem).

usage, inside the namespace of NEAR: wire.py NEAR BRIDGE FAR-NAMESPACE FAR DELAY-MS LOSS-PERCENT
NEAR joins BRIDGE, FAR moves to FAR-NAMESPACE. Both directions get the same delay and the same independent loss.
"""
import collections
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def main(near, bridge, far_namespace, far, delay_ms, loss_percent):
    delay, loss = float(delay_ms) / 1000, float(loss_percent) / 100
    ends = tap(near), tap(f"{near}-x")
    subprocess.run(["ip", "link", "set", near, "master", bridge, "up"], check=True)
    subprocess.run(["ip", "link", "set", f"{near}-x", "name", far, "netns", far_namespace], check=True)
    across = {ends[0]: ends[1], ends[1]: ends[0]}
    under_way = collections.deque()  # (due, end to write to, frame), in order of time since the delay is constant
    dice = random.Random(1)
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        for fd in select.select(ends, [], [], wait)[0]:
            try:
                frame = os.read(fd, 65536)
            except OSError:
                continue
            if dice.random() >= loss:
                under_way.append((time.monotonic() + delay, across[fd], frame))
        while under_way and under_way[0][0] <= time.monotonic():
            _, fd, frame = under_way.popleft()
            try:
                os.write(fd, frame)
            except OSError:
                pass  # the far device is not up yet


if __name__ == "__main__":
    main(*sys.argv[1:])
