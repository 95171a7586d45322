"""Where things are: paths, names and addresses of the rig, in one place."""
import os
from pathlib import Path

INTEROP = Path(__file__).resolve().parent.parent
REPOSITORY = INTEROP.parent
WORK = Path(os.environ.get("SEKISHO_INTEROP_DIR", "/var/tmp/sekisho-interop"))
BINARY = Path(os.environ.get("SEKISHO_BIN", REPOSITORY / "target/release/sekisho"))
PREFIX = os.environ.get("SEKISHO_RIG", "sk")  # of namespaces and containers: two prefixes, two rigs at a time
PATIENCE = float(os.environ.get("SEKISHO_PATIENCE", "1"))  # multiplies every time limit, for slow machines

GATEWAY = "203.0.113.1"
WORLD = "198.51.100.1"  # a host beyond the gateway that knows no way back to the hubs' networks
WORLD_SEES = "192.0.2.1"  # the gateway's address towards it
BULK_PORT = 7001

PSK = "a-key-for-the-interop-rig"
PASSWORDS = {"alice": "alice-pw", "bob": "bob-pw", "carol": "carol-pw", "dave": "dave-pw"}
