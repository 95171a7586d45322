"""The clients' root file systems, built once from Debian packages and kept in the work directory."""
import fcntl
import filecmp
import shutil
from contextlib import contextmanager

from .settings import INTEROP, WORK
from .shell import run, step

ROOTS = {"strongswan": "strongswan", "swanctl": "strongswan", "none": "strongswan", "libreswan": "libreswan"}
SHOWN = ("strongswan-charon", "libreswan", "xl2tpd", "ppp")


@contextmanager
def locked(name):
    """Two runs at a time share the roots and images; one of them builds."""
    WORK.mkdir(parents=True, exist_ok=True)
    with open(WORK / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def root_of(stack):
    return WORK / "roots" / ROOTS[stack]


def prepare(stacks=("strongswan",)):
    """Builds what is missing, and puts the present guest scripts into it."""
    for name in sorted({ROOTS[stack] for stack in stacks}):
        root = WORK / "roots" / name
        with locked("roots"):
            if not root.exists():
                step(f"building the {name} root file system from Debian packages (once, about two minutes)")
                root.parent.mkdir(parents=True, exist_ok=True)
                run(INTEROP / "lib/build_roots", name, root, timeout=1800)
            for script in (*(INTEROP / "guest").iterdir(), INTEROP / "containers/entry"):
                target = root / "rig" / script.name
                if not target.exists() or not filecmp.cmp(script, target, shallow=False):
                    shutil.copy(script, target)


def versions():
    """{package: version} of what the clients run, from the roots' own package databases"""
    found = {}
    for root in sorted((WORK / "roots").glob("*/var/lib/dpkg/status")):
        for entry in root.read_text(errors="replace").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and not line.startswith(" "))
            if fields.get("Package") in SHOWN:
                found[fields["Package"]] = fields["Version"]
    return found
