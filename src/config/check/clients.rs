//! Rules of `clients`.

use super::{Check, Path, schema};
use crate::config::clients::Client;
use crate::config::{Limit, edit_distance::nearest};
use crate::ike::ClientHint;

/// NATs forget UDP after half a minute at the earliest (RFC 4787 section 4.3 asks for two minutes).
const SHORTEST_KEEPALIVE: u64 = 5;
const LONGEST_KEEPALIVE: u64 = 300;
/// Each is a payload of its own in a message that has to fit a packet.
const MOST_VENDOR_IDS: usize = 8;

impl Check<'_> {
    pub(super) fn clients(&mut self, file: &schema::File) -> Vec<(ClientHint, Client)> {
        let section = Path::of(&["clients"]);
        let mut kinds = Vec::new();
        for (name, client) in &file.clients {
            let path = section.key(name);
            let Some((_, hint)) = ClientHint::ALL.into_iter().find(|(known, _)| known == name) else {
                let names = ClientHint::ALL.map(|(known, _)| known);
                let hint = match nearest(name, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the kinds are: {}", names.join(", ")),
                };
                self.error(&path, format!("there is no kind of client `{name}`"), Some(&hint));
                continue;
            };
            if let Some(Limit::To(span)) = client.keepalive {
                self.span(&path.key("keepalive"), span.0, SHORTEST_KEEPALIVE, LONGEST_KEEPALIVE);
            }
            if client.vendor_ids.as_ref().is_some_and(|ids| ids.len() > MOST_VENDOR_IDS) {
                let message = format!("more than {MOST_VENDOR_IDS} vendor IDs");
                self.error(&path.key("vendor_ids"), message, None);
            }
            for (index, protocol) in client.auth.iter().flatten().enumerate() {
                if !file.ppp.auth.contains(protocol) && !self.skipped.touches(&Path::of(&["ppp", "auth"])) {
                    let message = format!("{protocol} is not in `ppp.auth`, so it is not offered");
                    self.warn(
                        &path.key("auth").index(index),
                        message,
                        Some("add it there, or remove it here"),
                    );
                }
            }
            kinds.push((hint, client.clone()));
        }
        kinds
    }
}
