//! `vpn_server.config` of SoftEther VPN Server: nested `declare` blocks of typed values, strings with `$20` for a blank.

use super::{Found, Hub, Secret, User};
use std::net::Ipv4Addr;

/// Deeper than any server writes.
const DEEPEST: usize = 32;

/// A block: its values and the blocks in it, in order.
#[derive(Debug, Default)]
struct Block {
    name: String,
    values: Vec<(String, String)>,
    blocks: Vec<Block>,
}

impl Block {
    fn block(&self, name: &str) -> Option<&Self> {
        self.blocks.iter().find(|block| block.name == name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }

    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        self.value(name)?.parse().ok().filter(|address: &Ipv4Addr| !address.is_unspecified())
    }
}

/// Reads hubs, users, keys and what goes with them.
///
/// # Errors
/// With the line, when the text is no such configuration.
pub fn softether(content: &str) -> Result<Found, String> {
    let root = parse(content)?;
    let mut found = Found::default();
    let hubs =
        root.block("VirtualHUB").ok_or("there is no block VirtualHUB: is this a vpn_server.config?")?;
    for hub in &hubs.blocks {
        let hub = take_hub(hub, &mut found.left_out);
        found.hubs.push(hub);
    }
    let server = root.block("ServerConfiguration");
    // Older versions have the block at the top.
    if let Some(ipsec) = root.block("IPsec").or_else(|| server?.block("IPsec")) {
        found.psks.extend(ipsec.value("IPsec_Secret").map(str::to_owned));
        found.raw_l2tp = ipsec.flag("L2TP_Raw").unwrap_or(false);
        let named = ipsec.value("L2TP_DefaultHub");
        found.default_hub = named.and_then(|name| {
            found
                .hubs
                .iter()
                .find(|hub| hub.name.eq_ignore_ascii_case(&allowed(name)))
                .map(|hub| hub.name.clone())
        });
        if ipsec.flag("EtherIP_IPsec") == Some(true) {
            found.left_out.push("EtherIP over IPsec: not served here".to_owned());
        }
    }
    for (block, what) in [
        ("LocalBridgeList", "local bridges: connect the hub by its `uplink`"),
        ("VirtualLayer3SwitchList", "virtual layer 3 switches: hubs are apart here"),
        ("ListenerList", "listeners of SoftEther's own protocol and SSTP: not served here"),
        ("LicenseManager", "licences"),
    ] {
        if root.block(block).is_some_and(|block| !block.blocks.is_empty()) {
            found.left_out.push(what.to_owned());
        }
    }
    if server.and_then(|server| server.flag("DisableOpenVPNServer")) == Some(false) {
        found.left_out.push("the OpenVPN server: not served here".to_owned());
    }
    Ok(found)
}

/// A name that a hub may have here.
fn allowed(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.chars().map(|c| if fits(c) { c } else { '-' }).take(64).collect()
}

fn take_hub(block: &Block, left_out: &mut Vec<String>) -> Hub {
    let mut hub = Hub { name: allowed(&block.name), ..Hub::default() };
    let mut left = |what: String| left_out.push(format!("hub {}: {what}", block.name));
    if hub.name != block.name {
        left(format!("it is called {} here", hub.name));
    }
    if block.flag("Online") == Some(false) {
        left("it was offline; here `sekisho ctl hub offline` does that while it runs".to_owned());
    }
    if let Some(nat) = block.block("SecureNAT") {
        take_network(nat, &mut hub);
        if nat.flag("Disabled") == Some(true) {
            left("SecureNAT was off: look at `network` and `uplink`".to_owned());
        }
    }
    if hub.network.is_none() {
        left("it has no network of its own: one that is free was taken".to_owned());
    }
    let accounts = block.block("SecurityAccountDatabase");
    let list =
        |name: &str| accounts.and_then(|accounts| accounts.block(name)).map(|list| list.blocks.as_slice());
    for user in list("UserList").unwrap_or_default() {
        match take_user(user, &mut left) {
            Ok(user) => hub.users.push(user),
            Err(why) => left(format!("user {}: {why}", user.name)),
        }
    }
    for (name, what) in [
        ("GroupList", "groups and their policies"),
        ("CrlList", "lists of revoked certificates"),
        ("CertList", "certificates"),
    ] {
        if list(name).is_some_and(|list| !list.is_empty()) {
            left(format!("{what} ({}) are not taken over", list(name).unwrap_or_default().len()));
        }
    }
    for (name, what) in [("AccessList", "access lists"), ("CascadeList", "cascades to other servers")] {
        if block.block(name).is_some_and(|list| !list.blocks.is_empty()) {
            left(format!("{what} are not taken over"));
        }
    }
    hub
}

fn take_network(nat: &Block, hub: &mut Hub) {
    if let Some(host) = nat.block("VirtualHost") {
        let address = host.address("VirtualHostIp");
        let mask = host.value("VirtualHostIpSubnetMask").and_then(|mask| mask.parse::<Ipv4Addr>().ok());
        if let Some((address, mask)) = address.zip(mask) {
            let prefix = mask.to_bits().leading_ones();
            if (8..=30).contains(&prefix) && mask.to_bits().trailing_zeros() == 32 - prefix {
                let network = Ipv4Addr::from_bits(address.to_bits() & mask.to_bits());
                hub.network = Some(format!("{network}/{prefix}"));
                hub.gateway = Some(address);
            }
        }
    }
    let Some(dhcp) = nat.block("VirtualDhcpServer") else { return };
    if hub.network.is_some() {
        hub.range = dhcp.address("DhcpLeaseIPStart").zip(dhcp.address("DhcpLeaseIPEnd"));
    }
    // Its own address means itself, which is our default, too.
    let servers = ["DhcpDnsServerAddress", "DhcpDnsServerAddress2"].map(|name| dhcp.address(name));
    hub.dns = servers.into_iter().flatten().filter(|server| hub.gateway != Some(*server)).collect();
    hub.domain = dhcp.value("DhcpDomainName").map(str::to_owned);
}

fn take_user(block: &Block, left: &mut impl FnMut(String)) -> Result<User, &'static str> {
    use base64::Engine as _;
    match block.value("AuthType") {
        Some("1") => {}
        Some("0") => return Err("it needs no password, which there is not here"),
        Some("2" | "3") => return Err("it is known by a certificate, which L2TP does not carry"),
        Some("4") => return Err("its password is on a RADIUS server"),
        Some("5") => return Err("its password is in a Windows domain"),
        _ => return Err("how it is known is not said"),
    }
    let hash = block.value("AuthNtLmSecureHash").ok_or("there is no NT hash of its password")?;
    let hash =
        base64::engine::general_purpose::STANDARD.decode(hash).map_err(|_| "its hash is not base64")?;
    if hash.len() != 16 || hash.iter().all(|byte| *byte == 0) {
        return Err("there is no NT hash of its password: set a new one");
    }
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = block.name.clone();
    if let Some(group) = block.value("GroupName") {
        left(format!("user {name} was in group {group}"));
    }
    let policy = block.block("Policy");
    let disabled = policy.and_then(|policy| policy.flag("Access")) == Some(false);
    if policy.is_some_and(|policy| {
        policy.values.iter().any(|(key, value)| key != "Access" && changes_much(key, value))
    }) {
        left(format!("user {name} had a policy: compare it with docs/configuration.md"));
    }
    let expires =
        block.value("ExpireTime").and_then(|time| time.parse::<u64>().ok()).filter(|time| *time > 0);
    let expires = expires.map(|time| crate::config::Date::of(time / 1000).to_string());
    Ok(User { name, secret: Secret::NtHash(hash), address: None, disabled, expires })
}

/// Whether a value of a policy differs from what SoftEther gives everybody.
fn changes_much(key: &str, value: &str) -> bool {
    let usual = match key {
        "MaxConnection" => "32",
        "TimeOut" => "20",
        _ => "",
    };
    value != usual && !matches!(value, "false" | "0" | "")
}

fn parse(content: &str) -> Result<Block, String> {
    // The block at the front is not closed by anything.
    let mut open = vec![Block::default()];
    let mut declared: Option<String> = None;
    for (number, line) in (1..).zip(content.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        let wrong = |what: &str| format!("line {number}: {what}");
        match (line, &declared) {
            ("", _) => {}
            ("{", Some(name)) => {
                if open.len() > DEEPEST {
                    return Err(wrong("blocks are too deep"));
                }
                open.push(Block { name: name.clone(), ..Block::default() });
                declared = None;
            }
            ("}", None) => {
                let block =
                    open.pop().filter(|_| !open.is_empty()).ok_or_else(|| wrong("a brace too many"))?;
                if let Some(outer) = open.last_mut() {
                    outer.blocks.push(block);
                }
            }
            (_, Some(_)) => return Err(wrong("a `{` is missing")),
            (line, None) if line.starts_with('#') => {}
            (line, None) => {
                let (kind, rest) = line.split_once(' ').ok_or_else(|| wrong("this is no value"))?;
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                let name = unescape(name);
                match kind {
                    "declare" => declared = Some(name),
                    "string" => open
                        .last_mut()
                        .into_iter()
                        .for_each(|b| b.values.push((name.clone(), unescape(value)))),
                    _ => open
                        .last_mut()
                        .into_iter()
                        .for_each(|b| b.values.push((name.clone(), value.to_owned()))),
                }
            }
        }
    }
    let top = open.pop().filter(|_| open.is_empty()).ok_or("the last block does not end")?;
    let mut blocks = top.blocks;
    blocks.pop().filter(|root| root.name == "root").ok_or_else(|| "there is no block root".to_owned())
}

/// `$20` is a blank, `$24` a dollar; `$` alone stands for an empty text.
fn unescape(text: &str) -> String {
    if text == "$" {
        return String::new();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(|_| *byte == b'$') {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
