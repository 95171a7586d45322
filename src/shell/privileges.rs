//! The rights that the gateway needs of the system: which, for what, and how they are granted.

use super::syscall;
use crate::config::{Config, Uplink};
use std::{fmt, fs, io, path::Path};

/// A Linux capability that we may need.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Capability {
    /// Ports below 1024.
    NetBindService,
    /// Interfaces, addresses, packet filter.
    NetAdmin,
    /// Raw sockets.
    NetRaw,
}

impl Capability {
    const ALL: [Self; 3] = [Self::NetBindService, Self::NetAdmin, Self::NetRaw];

    /// Its bit in `/proc/self/status` (linux/capability.h).
    const fn bit(self) -> u32 {
        match self {
            Self::NetBindService => 10,
            Self::NetAdmin => 12,
            Self::NetRaw => 13,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetBindService => "CAP_NET_BIND_SERVICE",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
        })
    }
}

/// The rights of this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Privileges {
    effective: u64,
    /// The lowest port that needs no right.
    first_free_port: u16,
}

/// A right that is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// The right.
    pub capability: Capability,
    /// For what, as the rest of "… is needed to".
    pub purpose: String,
    /// Whether the gateway can run without, and what is lost then.
    pub without: Option<&'static str>,
}

impl Privileges {
    /// Reads the rights of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
        Self { effective: parse_effective(&status), first_free_port: first.trim().parse().unwrap_or(1024) }
    }

    /// Whether `capability` is among them.
    #[must_use]
    pub const fn has(&self, capability: Capability) -> bool {
        self.effective & (1 << capability.bit()) != 0
    }

    /// What `config` needs and this process lacks.
    #[must_use]
    pub fn missing(&self, config: &Config) -> Vec<Need> {
        let listen = &config.listen;
        let ipsec = [listen.ports.ike, listen.ports.nat_t].into_iter().filter(|_| listen.l2tp_ipsec);
        let l2tp = Some(listen.ports.l2tp).into_iter().filter(|_| listen.raw_l2tp);
        let low: Vec<String> = ipsec
            .chain(l2tp)
            .filter(|port| *port < self.first_free_port)
            .map(|port| port.to_string())
            .collect();
        let taps: Vec<&str> = config
            .hubs
            .iter()
            .filter(|hub| !matches!(hub.uplink, Uplink::None | Uplink::UserNat | Uplink::Interface(_)))
            .map(|hub| hub.name.as_str())
            .collect();

        let mut needs = Vec::new();
        if !low.is_empty() {
            let purpose =
                format!("open UDP port{} {}", if low.len() == 1 { "" } else { "s" }, low.join(" and "));
            needs.push(Need { capability: Capability::NetBindService, purpose, without: None });
        }
        if !taps.is_empty() {
            let purpose =
                format!("make the uplink of {}: a TAP interface, its address, NAT rules", taps.join(", "));
            needs.push(Need { capability: Capability::NetAdmin, purpose, without: None });
        }
        let is_wire = |hub: &&crate::config::Hub| matches!(hub.uplink, Uplink::Interface(_));
        if let Some(hub) = config.hubs.iter().find(is_wire) {
            let purpose = format!("use the {} of hub {}", hub.uplink, hub.name);
            needs.push(Need { capability: Capability::NetRaw, purpose, without: None });
        }
        if listen.l2tp_ipsec {
            let purpose = "receive ESP from clients that no NAT is in front of".to_owned();
            let without = Some("such clients cannot connect, those behind NAT can");
            needs.push(Need { capability: Capability::NetRaw, purpose, without });
        }
        needs.retain(|need| !self.has(need.capability));
        needs
    }

    /// Lets the programs that we start (`nft`) have our rights. Rights from a file (`setcap`) do not reach them otherwise.
    /// To be called before there are threads: rights belong to threads.
    ///
    /// # Errors
    /// When the system refuses, which it has no reason to do.
    pub fn share_with_children(&self) -> io::Result<()> {
        let ours: Vec<u32> =
            Capability::ALL.into_iter().filter(|c| self.has(*c)).map(Capability::bit).collect();
        syscall::raise_ambient(&ours)
    }
}

fn parse_effective(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// What to print when needs are not met: which right, for what, and the commands that grant it.
#[must_use]
pub fn explain(needs: &[Need], program: &Path, command: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("the system does not allow what this configuration needs:\n");
    for Need { capability, purpose, without } in needs {
        let _ = write!(text, "  {:<20} is needed to {purpose}", capability.to_string());
        let _ = writeln!(
            text,
            "{}",
            without.map(|loss| format!(" (optional: without it {loss})")).unwrap_or_default()
        );
    }
    // All that we use at once: who grants one of them does not want to come back for the next.
    let lower: Vec<String> = Capability::ALL.iter().map(|c| c.to_string().to_lowercase()).collect();
    let upper: Vec<String> = Capability::ALL.iter().map(Capability::to_string).collect();
    let program = program.display();
    let _ = write!(
        text,
        "any one of these grants it:\n  \
         once:        sudo {program} {command}\n  \
         for good:    sudo setcap {}+ep {program}\n  \
         systemd:     AmbientCapabilities={}\n  \
         container:   --cap-add NET_ADMIN --cap-add NET_RAW --device /dev/net/tun",
        lower.join(","),
        upper.join(" "),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileFacts, load};

    fn config(text: &str) -> Config {
        let text = format!("ipsec: {{ psk: kT7nVpQ2xWz9RbHm4cJd }}\n{text}");
        load(&text, &FileFacts { name: String::new(), mode: None, now: 0 })
            .unwrap_or_else(|r| panic!("{r}"))
            .config
    }

    #[test]
    fn effective_rights_are_read() {
        assert_eq!(parse_effective("CapPrm:\t0000000000000000\nCapEff:\t0000000000003400\n"), 0x3400);
        assert_eq!(parse_effective(""), 0);
        let all = Privileges { effective: 0x3400, first_free_port: 1024 };
        assert!(Capability::ALL.into_iter().all(|c| all.has(c)));
    }

    #[test]
    fn only_what_the_configuration_needs_is_asked_for() {
        let none = Privileges { effective: 0, first_free_port: 1024 };
        let needs = |privileges: &Privileges, text| -> Vec<Capability> {
            privileges.missing(&config(text)).into_iter().map(|need| need.capability).collect()
        };
        let nat = "hubs: { A: { network: 10.1.0.0/24 } }";
        let alone = "hubs: { A: { network: 10.1.0.0/24, uplink: none } }\nlisten: { ports: { ike: 10500 } }";
        assert_eq!(needs(&none, nat), Capability::ALL);
        assert_eq!(needs(&none, alone), [Capability::NetRaw], "4500 is above 1023 and no TAP is wished");
        assert_eq!(needs(&Privileges { effective: 0, first_free_port: 0 }, nat).len(), 2);
        assert_eq!(needs(&Privileges { effective: 0x3400, first_free_port: 1024 }, nat), []);
    }

    #[test]
    fn the_message_names_right_purpose_and_command() {
        let none = Privileges { effective: 0, first_free_port: 1024 };
        let needs = none.missing(&config("hubs: { A: { network: 10.1.0.0/24 } }"));
        insta::assert_snapshot!(explain(&needs, Path::new("/usr/bin/sekisho"), "up"), @r"
        the system does not allow what this configuration needs:
          CAP_NET_BIND_SERVICE is needed to open UDP port 500
          CAP_NET_ADMIN        is needed to make the uplink of A: a TAP interface, its address, NAT rules
          CAP_NET_RAW          is needed to receive ESP from clients that no NAT is in front of (optional: without it such clients cannot connect, those behind NAT can)
        any one of these grants it:
          once:        sudo /usr/bin/sekisho up
          for good:    sudo setcap cap_net_bind_service,cap_net_admin,cap_net_raw+ep /usr/bin/sekisho
          systemd:     AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_NET_RAW
          container:   --cap-add NET_ADMIN --cap-add NET_RAW --device /dev/net/tun
        ");
    }
}
