"""Client containers: podman, an image made from our own root file system, a network namespace on the rig's bridges."""
import hashlib
import shutil
from pathlib import Path

from .roots import ROOTS, locked, root_of
from .settings import INTEROP, PREFIX, WORK
from .shell import Failure, run, step
from .topology import add_namespace, delete_namespace, plug

LABEL = f"sekisho-rig={PREFIX}"


def podman(*words, **more):
    runtime = ["--runtime", "runc"] if shutil.which("runc") else []  # crun refuses a hybrid cgroup set-up
    return run("podman", *runtime, *words, **more)


def image(stack):
    """The name of the image, built when the root or the scripts in it have changed."""
    root = root_of(stack)
    state = hashlib.sha256(str((root / "var/lib/dpkg/status").stat().st_mtime_ns).encode())
    for script in sorted([*(INTEROP / "guest").iterdir(), INTEROP / "containers/entry"]):
        state.update(script.read_bytes())
    name = f"localhost/sekisho-interop-{ROOTS[stack]}:{state.hexdigest()[:12]}"
    with locked("images"):
        if podman("image", "exists", name, check=False).returncode:
            step(f"building the image {name}")
            run(INTEROP / "containers/build", root, name, timeout=600)
    return name


def start(client):
    namespace, port = f"c-{client.name}", f"c-{client.tap}"
    remove(client)
    add_namespace(namespace)
    plug(client.where, client.topology.bridge(client.where), port, namespace, "eth0")
    device = "/dev/ppp" if client.container_mode == "native" else "/dev/net/tun"
    podman("run", "-d", "--name", f"{PREFIX}-{client.name}", "--label", LABEL, "--network", f"ns:/run/netns/{PREFIX}-{namespace}",
           "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--device", device,
           "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096",
           "--tmpfs", "/dev/shm:rw,exec,size=256m", "--tmpfs", "/tmp:rw,exec", "-v", f"{client.job}:/job",
           "-e", f"RIG_MODE={client.container_mode}", "-e", f"RIG_IP={client.ip}/24", "-e", f"RIG_GW={client.router or ''}",
           "-e", f"RIG_NAME={client.name}", image(client.options.stack))


def remove(client):
    podman("rm", "-f", "-t", "0", f"{PREFIX}-{client.name}", check=False)
    delete_namespace(f"c-{client.name}")
    client.topology.remove_port(client.where, f"c-{client.tap}")


def remove_all():
    """Left-overs of a killed run."""
    if shutil.which("podman"):
        found = podman("ps", "-aq", "--filter", f"label={LABEL}", check=False).stdout.split()
        if found:
            podman("rm", "-f", "-t", "0", *found, check=False)


def mode():
    """native where the host's kernel can do what a client needs, else uml. The modules must be loaded already: a container cannot."""
    run("modprobe", "-qa", "esp4", "xfrm_user", "af_key", "authenc", "echainiv", "cbc", "l2tp_ppp", "ppp_generic", check=False)
    probe = run("ip", "xfrm", "state", "add", "src", "192.0.2.1", "dst", "192.0.2.2", "proto", "esp", "spi", "0x100", "mode", "transport",
                "enc", "cbc(aes)", "0x000102030405060708090a0b0c0d0e0f", "auth", "hmac(sha1)",
                "0x000102030405060708090a0b0c0d0e0f10111213", namespace="wan", check=False)
    run("ip", "xfrm", "state", "flush", namespace="wan", check=False)
    return "native" if probe.returncode == 0 and Path("/dev/ppp").exists() and Path("/proc/net/pppol2tp").exists() else "uml"
