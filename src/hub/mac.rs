//! The MAC address of a user's device: the same in every session and after every restart, so that leases, reservations
//! and neighbours' caches keep their worth (SoftEther derives it from the session, and DHCP reservations never hold).

use super::Mac;
use sha2::{Digest, Sha256};

/// First byte of every address that is made here: locally administered, unicast.
const PREFIX: u8 = 0x5A;

/// The MAC address of the `instance`th link of a user's device on a hub. Upper and lower case of hub and user are the
/// same.
#[must_use]
pub fn stable_mac(hub: &str, user: &str, device: &str, instance: u32) -> Mac {
    let mut hash = Sha256::new();
    hash.update(b"sekisho port MAC 1");
    for part in [&*crate::identity::folded(hub), &*crate::identity::folded(user), device] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(instance.to_be_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, ..] = digest;
    Mac([PREFIX, a, b, c, d, e])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_and_distinct() {
        let mac = stable_mac("HUB1", "jiro", "iphone", 0);
        assert_eq!(mac, stable_mac("hub1", "JIRO", "iphone", 0));
        // Must never change: leases and reservations of existing installations hang on it.
        assert_eq!(mac.to_string(), "5a:b5:81:a9:55:87");
        assert!(mac.is_local() && mac.is_unicast());
        for other in [
            stable_mac("HUB2", "jiro", "iphone", 0),
            stable_mac("HUB1", "jir", "oiphone", 0),
            stable_mac("HUB1", "jiro", "iphone", 1),
        ] {
            assert_ne!(mac, other);
        }
    }
}
