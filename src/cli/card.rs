//! The connection card: what somebody types into a phone, on one screen.

use sekisho::{
    config::{Config, Credential, Network},
    shell::host,
};
use serde::Serialize;
use std::net::Ipv4Addr;

/// What a client needs. As JSON, it is what scripts read.
#[derive(Serialize)]
pub(super) struct Card {
    /// The gateway's name or address; `None` when it has no name, and this host no address but its own.
    server: Option<String>,
    psk: String,
    hub: String,
    /// As to be typed: with `@HUB` where the hub is not the default.
    user: String,
    /// `None` when the file has only its hash.
    password: Option<String>,
    gateway: Ipv4Addr,
    network: String,
    #[serde(skip)]
    named: bool,
    #[serde(skip)]
    behind_nat: bool,
}

impl Card {
    /// The card of the first user of the default hub (or of the first hub that has one).
    pub(super) fn of(config: &Config) -> Option<Self> {
        let mut hubs = config.default_hub().into_iter().chain(&config.hubs);
        let hub = hubs.find(|hub| !hub.users.is_empty())?;
        let password = |user: &sekisho::config::User| match &user.credential {
            Credential::Password(password) => Some(String::from_utf8_lossy(password).into_owned()),
            Credential::NtHash(_) => None,
        };
        let user = hub.users.iter().find(|user| password(user).is_some()).or(hub.users.first())?;
        let is_default = config.default_hub().is_some_and(|default| default.name == hub.name);
        let psk = config.psk_for(hub)?;

        let listen = config.listen.addresses.iter().copied().find(|address| !address.is_unspecified());
        let address = listen.or_else(host::likely_address);
        Some(Self {
            server: config.listen.name.clone().or_else(|| address.map(|address| address.to_string())),
            psk: String::from_utf8_lossy(&psk.key).into_owned(),
            hub: hub.name.clone(),
            user: if is_default { user.name.clone() } else { format!("{}@{}", user.name, hub.name) },
            password: password(user),
            gateway: hub.gateway,
            network: Network::to_string(&hub.network),
            named: config.listen.name.is_some(),
            behind_nat: address.is_some_and(host::is_private),
        })
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// For the terminal. `secrets`: whether key and password are shown, or where they stand.
    pub(super) fn text(&self, config_path: &std::path::Path, secrets: bool) -> String {
        let elsewhere = format!("(in {})", config_path.display());
        let key = if secrets { &self.psk } else { &elsewhere };
        let password = match (&self.password, secrets) {
            (Some(password), true) => password,
            (Some(_), false) => &elsewhere,
            (None, _) => "(the configuration has only its hash)",
        };
        let Self { user, hub, network, gateway, .. } = self;
        let server = self.server.as_deref().unwrap_or("this host's address");
        let router = if self.named {
            "This host has a private address: the router in front of it forwards UDP 500 and 4500\n\
             \x20                 to it (never 1701)."
        } else {
            "A private address. From outside, clients use the public address of the router\n\
             \x20                 in front of it, which forwards UDP 500 and 4500 to this host (never 1701)."
        };
        let note = if self.behind_nat {
            format!(
                "\n                  {router}\n\
                 \x20                 Windows then needs AssumeUDPEncapsulationContextOnSendRule = 2 in its registry."
            )
        } else {
            String::new()
        };
        format!(
            "
  Sekisho is up. To connect, enter this into the VPN settings of a phone or computer:

    Server        {server}{note}
    Type          L2TP/IPsec with a pre-shared key
    Key           {key}
    User          {user}
    Password      {password}

    iPhone, iPad  Settings > General > VPN & Device Management > VPN > Add VPN Configuration > Type: L2TP;
                  Account = User, Secret = Key, RSA SecurID off
    Mac           System Settings > VPN > Add VPN Configuration > L2TP over IPSec; Shared secret = Key
    Windows       Settings > Network & internet > VPN > Add VPN; VPN type: L2TP/IPsec with pre-shared key;
                  type of sign-in info: User name and password
    Android       (4 to 11) Settings > Network & internet > VPN > + ; Type: L2TP/IPSec PSK;
                  IPSec pre-shared key = Key, L2TP secret and IPSec identifier stay empty
    Linux         install network-manager-l2tp; Settings > Network > VPN > + > Layer 2 Tunneling Protocol;
                  IPsec Settings > Enable IPsec tunnel, Pre-shared key = Key
    ChromeOS      Settings > Network > Add connection > Add built-in VPN; Provider type: L2TP/IPsec

  Clients land on hub {hub} ({network}, gateway {gateway}). Configuration: {}
",
            config_path.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho::config::{FileFacts, load};
    use std::path::Path;

    fn card(text: &str) -> Option<Card> {
        let facts = FileFacts { name: String::new(), mode: None, now: 1_800_000_000 };
        Card::of(&load(text, &facts).unwrap_or_else(|report| panic!("{report}")).config)
    }

    const ONE: &str = r#"
listen: { addresses: [203.0.113.7] }
ipsec: { psk: [ { key: "an old key that is long enough", until: 2999-01-01 }, "kT7nVpQ2xWz9RbHm4cJd" ] }
hubs: { HUB1: { network: 10.60.0.0/24, users: { user1: { password: "a \"password\"" } } } }
"#;

    #[test]
    fn scripts_get_every_field_on_one_line() {
        let json = card(ONE).unwrap().json().unwrap();
        assert_eq!(
            json,
            r#"{"server":"203.0.113.7","psk":"kT7nVpQ2xWz9RbHm4cJd","hub":"HUB1","user":"user1","password":"a \"password\"","gateway":"10.60.0.1","network":"10.60.0.0/24"}"#
        );
    }

    #[test]
    fn the_gateways_name_is_what_clients_dial() {
        let named = card(&ONE.replace("[203.0.113.7]", "[192.168.1.2], name: vpn.example.org")).unwrap();
        let text = named.text(Path::new("/s.yaml"), true);
        assert!(text.contains("Server        vpn.example.org\n"), "{text}");
        assert!(text.contains("forwards UDP 500 and 4500") && !text.contains("public address"), "{text}");
    }

    #[test]
    fn people_get_a_card() {
        let card = card(ONE).unwrap();
        insta::assert_snapshot!(card.text(Path::new("/var/lib/sekisho/sekisho.yaml"), true), @r#"
        Sekisho is up. To connect, enter this into the VPN settings of a phone or computer:

          Server        203.0.113.7
          Type          L2TP/IPsec with a pre-shared key
          Key           kT7nVpQ2xWz9RbHm4cJd
          User          user1
          Password      a "password"

          iPhone, iPad  Settings > General > VPN & Device Management > VPN > Add VPN Configuration > Type: L2TP;
                        Account = User, Secret = Key, RSA SecurID off
          Mac           System Settings > VPN > Add VPN Configuration > L2TP over IPSec; Shared secret = Key
          Windows       Settings > Network & internet > VPN > Add VPN; VPN type: L2TP/IPsec with pre-shared key;
                        type of sign-in info: User name and password
          Android       (4 to 11) Settings > Network & internet > VPN > + ; Type: L2TP/IPSec PSK;
                        IPSec pre-shared key = Key, L2TP secret and IPSec identifier stay empty
          Linux         install network-manager-l2tp; Settings > Network > VPN > + > Layer 2 Tunneling Protocol;
                        IPsec Settings > Enable IPsec tunnel, Pre-shared key = Key
          ChromeOS      Settings > Network > Add connection > Add built-in VPN; Provider type: L2TP/IPsec

        Clients land on hub HUB1 (10.60.0.0/24, gateway 10.60.0.1). Configuration: /var/lib/sekisho/sekisho.yaml
        "#);
        let hidden = card.text(Path::new("/s.yaml"), false);
        assert!(
            !hidden.contains("kT7n") && !hidden.contains("a \"pass") && hidden.contains("(in /s.yaml)"),
            "{hidden}"
        );
        let behind = Card { server: Some("192.168.1.2".to_owned()), behind_nat: true, ..card };
        assert!(behind.text(Path::new("/s.yaml"), true).contains("forwards UDP 500 and 4500"));
    }

    #[test]
    fn without_a_default_hub_the_user_names_one() {
        let text = r"
default_hub: none
ipsec: { psk: [ { key: 'a key for B alone, a long one', hub: B }, { key: 'a key for A alone, a long one', hub: A } ] }
hubs:
  A: { network: 10.1.0.0/24 }
  B: { network: 10.2.0.0/24, users: { x: { nt_hash: 8846f7eaee8fb117ad06bdd830b7586c } } }
";
        let card = card(text).unwrap();
        assert_eq!((card.user.as_str(), card.psk.as_str()), ("x@B", "a key for B alone, a long one"));
        assert!(card.json().unwrap().contains(r#""password":null"#));
        assert!(
            self::card("ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }\nhubs: { A: { network: 10.1.0.0/24 } }")
                .is_none()
        );
    }
}
