//! pppd's `chap-secrets`, and `ipsec.secrets` of strongSwan and libreswan.

use super::{Found, Secret, User};
use std::net::Ipv4Addr;

/// Users of `chap-secrets`: client, server, secret, addresses. All go to the hub `hub` of `found`, which is made if it is
/// not there.
pub fn chap_secrets(content: &str, hub: &str, found: &mut Found) {
    let mut users: Vec<User> = Vec::new();
    for (number, line) in (1..).zip(content.lines()) {
        let words = words(line);
        let mut left = |why: &str| found.left_out.push(format!("chap-secrets line {number}: {why}"));
        let [client, server, secret, addresses @ ..] = words.as_slice() else {
            if !words.is_empty() {
                left("a line has client, server and secret");
            }
            continue;
        };
        if client == "*" || client.is_empty() {
            left("a secret for every client: here each user has a name");
        } else if secret.is_empty() {
            left(&format!("user {client} has an empty secret"));
        } else if secret.starts_with('@') || secret.starts_with('&') {
            left(&format!("the secret of {client} is elsewhere ({secret})"));
        } else if users.iter().any(|user| user.name.eq_ignore_ascii_case(client)) {
            left(&format!("user {client} stands there already"));
        } else {
            if server != "*" {
                left(&format!("user {client} was for the server {server} alone; here it is for hub {hub}"));
            }
            let mut address = None;
            for word in addresses.iter().filter(|word| !matches!(word.as_str(), "*" | "--" | "-")) {
                match (word.parse::<Ipv4Addr>(), address) {
                    (Ok(one), None) => address = Some(one),
                    _ => left(&format!("user {client}: the address {word} (one address each is kept)")),
                }
            }
            let secret = Secret::Password(secret.clone());
            users.push(User { name: client.clone(), secret, address, disabled: false, expires: None });
        }
    }
    let network = users.iter().find_map(|user| user.address).map(|address| address.octets());
    for user in &mut users {
        let outside = user
            .address
            .filter(|address| network.is_none_or(|network| address.octets()[..3] != network[..3]));
        if let Some(address) = outside {
            user.address = None;
            found.left_out.push(format!("user {}: {address} is not in the network of the others", user.name));
        }
    }
    // The file says nothing of the network; that of the addresses it is, as far as one can tell.
    let network = network.map(|[a, b, c, _]| format!("{a}.{b}.{c}.0/24"));
    match found.hubs.iter_mut().find(|other| other.name.eq_ignore_ascii_case(hub)) {
        Some(hub) => {
            hub.users.extend(users);
            hub.network = hub.network.take().or(network);
        }
        None => found.hubs.push(super::Hub { name: hub.to_owned(), network, users, ..super::Hub::default() }),
    }
}

/// Pre-shared keys of `ipsec.secrets`.
pub fn ipsec_secrets(content: &str, found: &mut Found) {
    for (number, line) in (1..).zip(content.lines()) {
        let mut left = |why: String| found.left_out.push(format!("ipsec.secrets line {number}: {why}"));
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(file) = line.strip_prefix("include") {
            left(format!("it includes{file}: import that file, too"));
            continue;
        }
        // `left right : PSK "secret"`; addresses of IPv6 have colons as well, but no blanks around.
        let Some((ids, rest)) = line.split_once(": ").or_else(|| line.split_once(":\t")) else {
            left("it has no colon".to_owned());
            continue;
        };
        let words = words(rest);
        match words.as_slice() {
            [kind, secret, ..] if kind.eq_ignore_ascii_case("psk") => match psk(secret) {
                Some(key) => {
                    let special = ids.split_whitespace().any(|id| !id.starts_with('%') && id != "0.0.0.0");
                    if special {
                        left(format!("the key was for {} alone; here it is for everybody", ids.trim()));
                    }
                    if !found.psks.contains(&key) {
                        found.psks.push(key);
                    }
                }
                None => left("the key is not text in UTF-8".to_owned()),
            },
            [kind, ..] => left(format!("a secret of the kind {kind}: here only pre-shared keys are used")),
            [] => left("there is nothing behind the colon".to_owned()),
        }
    }
}

/// A key as it is, in hexadecimal (`0x`) or in base64 (`0s`).
fn psk(secret: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = if let Some(hex) = secret.strip_prefix("0x") {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
            .collect::<Option<_>>()?
    } else if let Some(encoded) = secret.strip_prefix("0s") {
        base64::engine::general_purpose::STANDARD.decode(encoded).ok()?
    } else {
        secret.as_bytes().to_vec()
    };
    String::from_utf8(bytes).ok().filter(|key| !key.is_empty())
}

/// The words of a line: blanks divide, quotes of either kind hold together, a backslash takes the next character as it
/// is, `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(characters.next()),
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
