//! The LAN behind a hub's uplink: are there DHCP servers?

use super::super::packet_socket::PacketSocket;
use super::super::uplinks;
use crate::config::{AddressSource, Config, Hub, Uplink};
use crate::doctor::{Line, lan};
use crate::entropy::Entropy;
use crate::uplink::HEADER;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const CHECK: &str = "LAN DHCP";
/// How long answers are waited for: servers look by ping whether an address is free before they offer it.
const PATIENCE: Duration = Duration::from_secs(3);
const TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(5);

/// A line for each hub that is plugged into a LAN.
pub(super) fn dhcp_servers(config: &Config) -> Vec<Line> {
    config.hubs.iter().filter(|hub| hub.uplink.is_lan()).map(ask).collect()
}

fn ask(hub: &Hub) -> Line {
    let Some(interface) = lan_side(hub) else {
        let found = match &hub.uplink {
            Uplink::Tap(_) => format!("hub {}: its TAP is in no bridge, so there is no LAN to ask", hub.name),
            _ => format!("hub {}: not tried, the {} is not there yet", hub.name, hub.uplink),
        };
        return Line::ok(CHECK, found);
    };
    match offers(&interface) {
        Ok(mut offers) => {
            let own =
                (hub.address == AddressSource::Pool).then(|| hub.dhcp.range.first()..=hub.dhcp.range.last());
            if own.is_some() {
                // The hub's own server answers stations of the LAN as well.
                offers.retain(|offer| offer.server != hub.gateway);
            }
            lan::judge(&hub.name, &interface, own, &offers)
        }
        Err(error) => Line::warn(
            CHECK,
            format!("hub {}: the LAN on {interface} cannot be asked: {error}", hub.name),
            "run it as root: sudo sekisho doctor; ip link set INTERFACE up",
        ),
    }
}

/// The interface of this host by which frames reach the LAN.
fn lan_side(hub: &Hub) -> Option<String> {
    let is_there = |name: &&String| Path::new("/sys/class/net").join(name).exists();
    match &hub.uplink {
        Uplink::Bridge { bridge, interface } => {
            [Some(bridge), interface.as_ref()].into_iter().flatten().find(is_there).cloned()
        }
        Uplink::Interface(name) => Some(name).filter(is_there).cloned(),
        Uplink::Tap(name) => {
            let tap = name.clone().unwrap_or_else(|| uplinks::tap_name(&hub.name));
            let bridge = fs::read_link(Path::new("/sys/class/net").join(tap).join("master")).ok()?;
            Some(bridge.file_name()?.to_str()?.to_owned())
        }
        _ => None,
    }
}

/// Everybody who answers, each once.
fn offers(interface: &str) -> io::Result<Vec<lan::Offer>> {
    let socket = PacketSocket::open(interface).map_err(io::Error::other)?;
    let transaction = u32::from_be_bytes(Entropy::from_system().map_err(io::Error::other)?.array());
    let question = [&[0; HEADER][..], &lan::discover(transaction)].concat();
    let mut found: Vec<lan::Offer> = Vec::new();
    let mut space = vec![0; 65_536 + HEADER];
    for _ in 0..TRIES {
        socket.send(&question)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match socket.recv(&mut space) {
                Ok(length) => {
                    let frame = space.get(HEADER..length).unwrap_or_default();
                    let new = lan::offer(frame, transaction)
                        .filter(|offer| found.iter().all(|known| known.server != offer.server));
                    found.extend(new);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
                Err(error) => return Err(error),
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    Ok(found)
}
