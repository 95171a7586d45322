//! The kernel's NAT as its connection tracking shows it: what clients of hubs with `uplink: nat` have going. The table is
//! text and root's to read (`/proc/net/nf_conntrack`; some kernels have it by netlink alone, `conntrack -L`).

use crate::config::Network;
use crate::control::NatRow;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::Ipv4Addr;

const TABLE: &str = "/proc/thread-self/net/nf_conntrack";

/// Rows that are listed at most: the table of a busy host has hundreds of thousands.
const MOST: usize = 100_000;

/// The connections of clients of some hubs, by hub and client.
///
/// # Errors
/// When the table cannot be read.
pub(super) fn flows(hubs: &[(String, Network)]) -> io::Result<Vec<NatRow>> {
    read(BufReader::new(File::open(TABLE)?), hubs)
}

fn read(table: impl BufRead, hubs: &[(String, Network)]) -> io::Result<Vec<NatRow>> {
    let mut found = Vec::new();
    for line in table.lines() {
        let line = line?;
        let Some(flow) = Flow::parse(&line) else { continue };
        if let Some((hub, _)) = hubs.iter().find(|(_, network)| network.contains(flow.client)) {
            found.push((hub, flow));
        }
        if found.len() == MOST {
            break;
        }
    }
    found.sort_by_key(|(hub, flow)| (*hub, flow.client, flow.client_port));
    Ok(found.into_iter().map(|(hub, flow)| flow.row(hub)).collect())
}

/// A connection, as its first packet was.
#[derive(Debug)]
struct Flow {
    protocol: String,
    client: Ipv4Addr,
    client_port: u16,
    server: Ipv4Addr,
    server_port: Option<u16>,
    state: &'static str,
    left: u64,
}

impl Flow {
    /// `ipv4 2 tcp 6 431999 ESTABLISHED src=10.60.0.10 dst=192.0.2.2 sport=52100 dport=80 src=192.0.2.2 ...`: the tuple of
    /// the first packet stands before that of the answers.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (family, _, protocol, _) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let left = words.next()?.parse().ok()?;
        if family != "ipv4" {
            return None;
        }
        let first = |key: &str| {
            let value =
                line.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            value.map(str::to_owned)
        };
        let port = |key: &str| first(key).and_then(|value| value.parse::<u16>().ok());
        let state = match words.next() {
            Some("ESTABLISHED") => "open",
            Some("SYN_SENT" | "SYN_SENT2" | "SYN_RECV") => "connecting",
            Some(word) if protocol == "tcp" && !word.contains('=') => "closing",
            _ => "open",
        };
        Some(Self {
            client: first("src")?.parse().ok()?,
            client_port: port("sport").or_else(|| port("id")).unwrap_or(0),
            server: first("dst")?.parse().ok()?,
            server_port: port("dport"),
            protocol: protocol.to_owned(),
            state,
            left,
        })
    }

    fn row(self, hub: &str) -> NatRow {
        let port = self.server_port.unwrap_or(0);
        NatRow {
            hub: hub.to_owned(),
            protocol: self.protocol,
            client: format!("{}:{}", self.client, self.client_port),
            server: Some(format!("{}:{port}", self.server)),
            state: self.state.to_owned(),
            left_seconds: self.left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINES: &str = "\
ipv4     2 tcp      6 431999 ESTABLISHED src=10.60.0.10 dst=192.0.2.2 sport=52100 dport=8080 src=192.0.2.2 dst=203.0.113.1 sport=8080 dport=52100 [ASSURED] mark=0 use=1
ipv4     2 udp      17 28 src=10.61.0.7 dst=9.9.9.9 sport=5353 dport=53 [UNREPLIED] src=9.9.9.9 dst=203.0.113.1 sport=53 dport=5353 mark=0 use=2
ipv6     10 udp      17 28 src=fe80::1 dst=ff02::1 sport=1 dport=2 src=ff02::1 dst=fe80::1 sport=2 dport=1 mark=0 use=2
ipv4     2 tcp      6 99 TIME_WAIT src=10.60.0.9 dst=192.0.2.2 sport=52099 dport=80 src=192.0.2.2 dst=203.0.113.1 sport=80 dport=52099 [ASSURED] mark=0 use=1
ipv4     2 icmp     1 29 src=10.60.0.10 dst=192.0.2.2 type=8 code=0 id=77 src=192.0.2.2 dst=203.0.113.1 type=0 code=0 id=77 mark=0 use=1
ipv4     2 tcp      6 100 SYN_SENT src=192.168.7.7 dst=192.0.2.2 sport=1 dport=2 [UNREPLIED] src=192.0.2.2 dst=192.168.7.7 sport=2 dport=1 mark=0 use=1
";

    #[test]
    fn what_clients_have_going_is_listed_by_hub_and_client() {
        let hubs = [
            ("OFFICE".to_owned(), "10.60.0.0/24".parse().unwrap()),
            ("GUESTS".to_owned(), "10.61.0.0/24".parse().unwrap()),
        ];
        let rows = read(LINES.as_bytes(), &hubs).unwrap();
        let short = |row: &NatRow| {
            let NatRow { hub, protocol, client, server, state, left_seconds } = row;
            format!("{hub} {protocol} {client} {} {state} {left_seconds}", server.as_deref().unwrap())
        };
        assert_eq!(
            rows.iter().map(short).collect::<Vec<_>>(),
            [
                "GUESTS udp 10.61.0.7:5353 9.9.9.9:53 open 28",
                "OFFICE tcp 10.60.0.9:52099 192.0.2.2:80 closing 99",
                "OFFICE icmp 10.60.0.10:77 192.0.2.2:0 open 29",
                "OFFICE tcp 10.60.0.10:52100 192.0.2.2:8080 open 431999",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line in "(ipv4|ipv6)? ?[0-9]{0,2} (tcp|udp)? [0-9]{0,3} [0-9A-Z]{0,12} (src=[0-9.]{0,16} )?(dst=[0-9.]{0,9} ?sport=[0-9]{0,6})?") {
            let _ = Flow::parse(&line);
        }
    }
}
