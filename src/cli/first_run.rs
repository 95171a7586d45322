//! The configuration that `sekisho up` writes on its first run: random secrets, a free network, comments that teach.

use sekisho::{config::Network, entropy::Entropy};

/// Letters and digits that nobody takes for one another, on paper or on a phone: no `0 o 1 l i`, and no capitals, which
/// cost a key press more. 31 of them: 4.95 bits each.
const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// 99 bits: guessing is hopeless, also for somebody who recorded a connection and has computers.
pub(super) const KEY_LENGTH: usize = 20;

/// 59 bits: a password can only be guessed by asking the gateway, or by somebody who has the key already.
pub(super) const PASSWORD_LENGTH: usize = 12;

/// The text of a first configuration file.
pub(super) fn configuration(network: Network, entropy: &mut Entropy) -> String {
    let (key, password) = (secret(KEY_LENGTH, entropy), secret(PASSWORD_LENGTH, entropy));
    format!(
        r#"# Sekisho's configuration, made by `sekisho up` and yours from now on: it is never overwritten.
# After a change by hand: `sekisho check --config THIS-FILE`, then `sekisho ctl reload`.
# All settings: docs/configuration.md. This file holds secrets; keep it to yourself (mode 0600).

ipsec:
  policy: compatible            # or: modern (sound algorithms only, no Android), legacy (broken ones, too)
  psk:
    - key: "{key}"
    # A new key for everybody: add it, and let the old one go at a date.
    # - {{ key: "last month's key", until: 2030-12-31 }}
    # A key that opens one hub only:
    # - {{ key: "a key for guests alone", hub: GUESTS }}

hubs:
  HUB1:                         # users log in as `user1`, `user1@HUB1` or `HUB1\user1`
    network: {network}       # the gateway has the first address
    # uplink: nat               # the default where this host can, else usernat; or: none (clients reach each other only), tap (wire it yourself)
    # dhcp: {{ dns: [9.9.9.9], domain: office.example, lease: 8h }}
    users:
      user1: {{ password: "{password}" }}
      # jiro: {{ password: "at least eight characters", address: {fixed} }}   # always the same address

# A second hub, separate from the first; then `default_hub` says which one `user1` alone means.
#  GUESTS: {{ network: 10.99.0.0/24, users: {{ visitor: {{ password: "welcome to the office" }} }} }}
# default_hub: HUB1
"#,
        fixed = std::net::Ipv4Addr::from_bits(network.address().to_bits() + 50),
    )
}

/// A configuration with a key and nothing else, to which hubs and users are added by command.
pub(super) fn without_hubs(entropy: &mut Entropy) -> String {
    format!(
        r#"# Sekisho's configuration, made by `sekisho hub add` and yours from now on.
# All settings: docs/configuration.md. This file holds secrets; keep it to yourself (mode 0600).

ipsec:
  policy: compatible            # or: modern (sound algorithms only, no Android), legacy (broken ones, too)
  psk:
    - key: "{key}"

hubs: {{}}
"#,
        key = secret(KEY_LENGTH, entropy)
    )
}

/// Random characters, each equally likely.
pub(super) fn secret(length: usize, entropy: &mut Entropy) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let [byte] = entropy.array::<1>();
        // 248 is the largest multiple of 31 in a byte: what is above would favour the first letters.
        if byte < 248 {
            text.push(char::from(ALPHABET[usize::from(byte % 31)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho::config::{FileFacts, Uplink, load};

    #[test]
    fn the_first_configuration_is_sound_and_earns_no_warning() {
        let network: Network = "10.60.0.0/24".parse().unwrap();
        let facts = FileFacts { name: "first.yaml".to_owned(), mode: Some(0o600), now: 1_800_000_000 };
        for number in 0..50 {
            let text = configuration(network, &mut Entropy::from_number(number));
            let loaded = load(&text, &facts).unwrap_or_else(|report| panic!("{report}\n{text}"));
            assert_eq!(loaded.warnings.to_string(), "");
            let key = &loaded.config.ipsec.psks[0].key;
            assert!(key.len() >= 20 && key.iter().all(|c| ALPHABET.contains(c)));
            let hub = loaded.config.default_hub().unwrap();
            assert_eq!((hub.network, hub.uplink.clone(), hub.users.len()), (network, Uplink::Auto, 1));
        }
    }

    /// Each suggestion in a comment works when its `#` is taken away.
    #[test]
    fn the_comments_tell_the_truth() {
        let text = configuration("10.60.0.0/24".parse().unwrap(), &mut Entropy::from_number(1));
        let wished = text
            .replace("    # - {", "    - {")
            .replace("    # dhcp", "    dhcp")
            .replace("      # jiro", "      jiro");
        let wished = wished.replace("#  GUESTS", "  GUESTS").replace("# default_hub", "default_hub");
        let facts = FileFacts { name: String::new(), mode: None, now: 1_800_000_000 };
        let loaded = load(&wished, &facts).unwrap_or_else(|report| panic!("{report}\n{wished}"));
        assert_eq!((loaded.config.hubs.len(), loaded.config.ipsec.psks.len()), (2, 3));
    }

    #[test]
    fn secrets_differ_and_use_the_whole_alphabet() {
        let mut entropy = Entropy::from_number(7);
        let long = secret(2_000, &mut entropy);
        assert!(ALPHABET.iter().all(|c| long.contains(char::from(*c))));
        assert_ne!(secret(20, &mut entropy), secret(20, &mut entropy));
    }
}
