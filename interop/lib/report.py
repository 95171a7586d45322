"""The dated table of results: RESULTS.md in full, and a table of clients in README.md between its two markers."""
import platform
import re
import statistics
import time

from . import roots
from .settings import INTEROP, REPOSITORY
from .shell import run

USUAL = ["strongSwan (ipsec.conf) + xl2tpd"]
CLIENTS = {  # label -> packages whose versions are shown
    "strongSwan (ipsec.conf) + xl2tpd": ("strongswan-charon", "xl2tpd", "ppp"),
    "strongSwan (swanctl) + xl2tpd": ("strongswan-charon", "xl2tpd", "ppp"),
    "libreswan + xl2tpd": ("libreswan", "xl2tpd", "ppp"),
    "NetworkManager-l2tp's configuration": ("strongswan-charon", "xl2tpd", "ppp"),
    "xl2tpd without IPsec": ("xl2tpd", "ppp"),
}


def environment(peer):
    commit = run("git", "-C", REPOSITORY, "describe", "--always", "--dirty", check=False).stdout.strip()
    kernel = run("linux.uml", "--version", check=False).stdout.strip()
    return f"{peer.version()} ({commit}), clients' kernel {kernel} (User-Mode Linux), host kernel {platform.release()}"


def table(results):
    """One row a scenario, however often it ran; what is said of it is from its last run, or from the last that failed."""
    rows = ["| scenario | passed | seconds | notes |", "|---|---|---|---|"]
    for name in dict.fromkeys(result.name for result in results):
        runs = [result for result in results if result.name == name]
        bad = [result for result in runs if not result.passed]
        notes = clean(bad[-1].reason if bad else "; ".join(runs[-1].notes))
        passed = f"{'**' if bad else ''}{len(runs) - len(bad)} of {len(runs)}{'**' if bad else ''}"
        rows.append(f"| {name} | {passed} | {statistics.median(run.seconds for run in runs):.0f} | {notes} |")
    return "\n".join(rows)


def clean(text):
    return re.sub(r"\s+", " ", text).replace("|", "\\|")[:300]


def client_table(results, labels):
    """labels: {scenario: [client labels]}"""
    versions = roots.versions()
    rows = ["| client | versions | passed | failed |", "|---|---|---|---|"]
    for label, packages in CLIENTS.items():
        with_it = [result for result in results if label in labels[result.name]]
        bad = sorted({result.name for result in with_it if not result.passed})
        good = sorted({result.name for result in with_it} - set(bad))
        shown = ", ".join(f"{package} {versions[package]}" for package in packages if package in versions)
        rows.append(f"| {label} | {shown} | {', '.join(good) or 'not run'} | {', '.join(bad) or 'none'} |")
    return "\n".join(rows)


def write(results, labels, peer):
    stamp = time.strftime("%Y-%m-%d")
    passed = sum(result.passed for result in results)
    heading = f"{stamp}: {passed} of {len(results)} passed. {environment(peer)}."
    (INTEROP / "RESULTS.md").write_text(
        f"# Results of `interop/run all`\n\nWritten by the runner. {heading}\n\n{table(results)}\n")
    readme = INTEROP / "README.md"
    text = readme.read_text()
    begin, finish = "<!-- results -->", "<!-- end of results -->"
    head, tail = text.index(begin) + len(begin), text.index(finish)
    readme.write_text(f"{text[:head]}\n{heading}\n\n{client_table(results, labels)}\n{text[tail:]}")
