//! What the configuration says about IKE.

use super::fingerprint::ClientHint;
use super::quirks::Quirks;
use crate::crypto::Secret;
use crate::crypto::suite::{DhGroup, EspAuth, EspCipher, EspSuite, HashAlg, IkeCipher, IkeSuite};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Most pre-shared keys that are tried on one message: each costs a key derivation.
pub const MAX_PSKS: usize = 16;

/// Number of a configured pre-shared key, in logs and on an SA instead of the key itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PskId(pub u16);

/// A pre-shared key.
#[derive(Clone, Debug)]
pub struct Psk {
    /// Its name.
    pub id: PskId,
    /// The key itself.
    pub key: Secret,
    /// Unix time in seconds from which on it is no longer accepted.
    pub until: Option<u64>,
    /// The only hub that its holder may enter; not enforced here.
    pub hub: Option<String>,
}

impl Psk {
    /// Whether it is accepted at this Unix time.
    #[must_use]
    pub fn is_valid(&self, unix_now: u64) -> bool {
        self.until.is_none_or(|until| unix_now < until)
    }
}

/// A group that clients name in Aggressive Mode, with a key of its own.
#[derive(Clone, Debug)]
pub struct Group {
    /// The bytes of the identity: KEY_ID, FQDN or USER_FQDN.
    pub name: Vec<u8>,
    /// Its key.
    pub psk: Psk,
}

/// Our ranking of what may be negotiated: the first entry that the client offers is chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// For reports: `modern`, `compatible`, `legacy` or the name of an own one.
    pub name: String,
    /// Phase 1, best first.
    pub ike: Vec<IkeSuite>,
    /// Phase 2, best first.
    pub esp: Vec<EspSuite>,
}

impl Policy {
    /// Nothing that is broken or weak: no MODP below 2048 bits, no 3DES, no MD5. SHA-1 only as an HMAC, because Windows
    /// offers nothing else. Shuts Android 4 to 11 out.
    #[must_use]
    pub fn modern() -> Self {
        Self {
            name: "modern".into(),
            ike: product(&GROUPS[..STRONG_GROUPS], &CIPHERS[..AES], &HASHES[..SHA]),
            esp: esp_suites(&ESP_CIPHERS[..ESP_AES], &ESP_AUTHS[..ESP_SHA]),
        }
    }

    /// The default: every client that ships with an operating system connects, each with the best that it knows.
    /// MODP-1024 comes last, because Android knows nothing else.
    #[must_use]
    pub fn compatible() -> Self {
        Self {
            name: "compatible".into(),
            ike: product(GROUPS, CIPHERS, &HASHES[..SHA]),
            esp: esp_suites(ESP_CIPHERS, &ESP_AUTHS[..ESP_SHA]),
        }
    }

    /// [`Self::compatible`] and, behind everything else, MD5.
    #[must_use]
    pub fn legacy() -> Self {
        let mut ike = product(GROUPS, CIPHERS, &HASHES[..SHA]);
        ike.extend(product(GROUPS, CIPHERS, &HASHES[SHA..]));
        let mut esp = esp_suites(ESP_CIPHERS, &ESP_AUTHS[..ESP_SHA]);
        esp.extend(
            esp_suites(ESP_CIPHERS, &ESP_AUTHS[ESP_SHA..]).into_iter().filter(|s| !s.cipher().is_aead()),
        );
        Self { name: "legacy".into(), ike, esp }
    }

    /// The policy of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "modern" => Some(Self::modern()),
            "compatible" => Some(Self::compatible()),
            "legacy" => Some(Self::legacy()),
            _ => None,
        }
    }
}

// The rankings: the policies are prefixes of these. A new algorithm is a word here.
const GROUPS: &[DhGroup] = &[
    DhGroup::Ecp256,
    DhGroup::Curve25519,
    DhGroup::Ecp384,
    DhGroup::Modp2048,
    DhGroup::Modp3072,
    DhGroup::Modp4096,
    DhGroup::Modp1536,
    DhGroup::Modp1024,
];
const STRONG_GROUPS: usize = 6;
const CIPHERS: &[IkeCipher] =
    &[IkeCipher::Aes256, IkeCipher::Aes128, IkeCipher::Aes192, IkeCipher::TripleDes];
const AES: usize = 3;
const HASHES: &[HashAlg] = &[HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512, HashAlg::Sha1, HashAlg::Md5];
const SHA: usize = 4;
const ESP_CIPHERS: &[EspCipher] = &[
    EspCipher::Aes256Gcm16,
    EspCipher::Aes128Gcm16,
    EspCipher::Aes256Cbc,
    EspCipher::Aes128Cbc,
    EspCipher::Aes192Cbc,
    EspCipher::TripleDesCbc,
];
const ESP_AES: usize = 5;
const ESP_AUTHS: &[EspAuth] = &[
    EspAuth::HmacSha256_128,
    EspAuth::HmacSha384_192,
    EspAuth::HmacSha512_256,
    EspAuth::HmacSha1_96,
    EspAuth::HmacMd5_96,
];
const ESP_SHA: usize = 4;

/// All combinations; the group weighs most, then the cipher.
fn product(groups: &[DhGroup], ciphers: &[IkeCipher], hashes: &[HashAlg]) -> Vec<IkeSuite> {
    let mut suites = Vec::with_capacity(groups.len() * ciphers.len() * hashes.len());
    for &group in groups {
        for &cipher in ciphers {
            suites.extend(hashes.iter().map(|&hash| IkeSuite::new(cipher, hash, group)));
        }
    }
    suites
}

fn esp_suites(ciphers: &[EspCipher], auths: &[EspAuth]) -> Vec<EspSuite> {
    let mut suites = Vec::new();
    for &cipher in ciphers {
        if cipher.is_aead() {
            suites.extend(EspSuite::new(cipher, EspAuth::Aead));
        } else {
            suites.extend(auths.iter().filter_map(|&auth| EspSuite::new(cipher, auth)));
        }
    }
    suites
}

/// Everything that IKE needs to know from the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What we negotiate.
    pub policy: Policy,
    /// Tried in this order at message 5, at most [`MAX_PSKS`].
    pub psks: Vec<Psk>,
    /// Groups for Aggressive Mode. Empty: Aggressive Mode is refused.
    pub groups: Vec<Group>,
    /// The address that clients know us by when a NAT stands before us (one per family at most).
    pub public_addresses: Vec<IpAddr>,
    /// There is no raw ESP socket: make every client that can use UDP encapsulation.
    pub force_udp_encapsulation: bool,
    /// How long a half-open exchange may take, and a Quick Mode.
    pub exchange_timeout: Duration,
    /// Lifetime of an ISAKMP SA whose client named none (RFC 2409 appendix A gives no default; RFC 2407 section 4.5
    /// says 8 hours for Phase 2).
    pub default_lifetime: Duration,
    /// How long an expired ISAKMP SA still answers: clients' clocks are not ours.
    pub lifetime_grace: Duration,
    /// Time between two R-U-THERE without an answer.
    pub dpd_interval: Duration,
    /// How many unanswered R-U-THERE mean death.
    pub dpd_tries: u8,
    /// Changes to the built-in table of quirks, by kind of client.
    pub quirks: Vec<(ClientHint, Arc<Quirks>)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::compatible(),
            psks: Vec::new(),
            groups: Vec::new(),
            public_addresses: Vec::new(),
            force_udp_encapsulation: false,
            exchange_timeout: Duration::from_secs(30),
            default_lifetime: Duration::from_secs(28800),
            lifetime_grace: Duration::from_secs(60),
            dpd_interval: Duration::from_secs(5),
            dpd_tries: 5,
            quirks: Vec::new(),
        }
    }
}

impl Settings {
    /// The quirk set for a kind of client: the configured one, or the built-in.
    #[must_use]
    pub fn quirks_for(&self, hint: ClientHint) -> Arc<Quirks> {
        self.quirks
            .iter()
            .find(|(kind, _)| *kind == hint)
            .map_or_else(|| Arc::new(Quirks::of(hint)), |(_, quirks)| quirks.clone())
    }

    /// A configured key by its number: one that is tried on everybody, or a group's.
    #[must_use]
    pub fn psk(&self, id: PskId) -> Option<&Psk> {
        self.psks.iter().chain(self.groups.iter().map(|group| &group.psk)).find(|psk| psk.id == id)
    }

    /// Whether a key is a group's.
    #[must_use]
    pub fn is_group(&self, id: PskId) -> bool {
        self.groups.iter().any(|group| group.psk.id == id)
    }

    /// The address that names us to a client who reached us on `local`.
    #[must_use]
    pub fn own_address(&self, local: IpAddr) -> IpAddr {
        self.public_addresses.iter().copied().find(|a| a.is_ipv4() == local.is_ipv4()).unwrap_or(local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suite::Strength;

    #[test]
    fn compatible_ends_with_what_only_android_needs() {
        let policy = Policy::compatible();
        let first_1024 = policy.ike.iter().position(|s| s.group == DhGroup::Modp1024).unwrap();
        assert!(policy.ike[first_1024..].iter().all(|s| s.group == DhGroup::Modp1024));
        assert!(policy.ike.iter().all(|s| s.hash != HashAlg::Md5));
        assert_eq!(policy.ike[0].strength(), Strength::Strong);
    }

    #[test]
    fn modern_has_nothing_weak_and_legacy_has_everything() {
        let modern = Policy::modern();
        assert!(modern.ike.iter().all(|s| s.strength() >= Strength::Acceptable));
        assert!(modern.esp.iter().all(|s| s.strength() >= Strength::Acceptable));
        let legacy = Policy::legacy();
        assert_eq!(
            legacy.ike.len(),
            DhGroup::ALL.len() * IkeCipher::ALL.len() * HashAlg::ALL.len(),
            "every Phase 1 algorithm has a rank"
        );
        assert!(legacy.ike[..Policy::compatible().ike.len()].iter().all(|s| s.hash != HashAlg::Md5));
        let aead = EspCipher::ALL.iter().filter(|c| c.is_aead()).count();
        let cbc = EspCipher::ALL.len() - aead;
        assert_eq!(legacy.esp.len(), aead + cbc * (EspAuth::ALL.len() - 1), "every Phase 2 suite has a rank");
        for name in ["modern", "compatible", "legacy"] {
            assert_eq!(Policy::named(name).unwrap().name, name);
        }
        assert!(Policy::named("paranoid").is_none());
    }

    #[test]
    fn a_key_ends_at_its_date() {
        let mut psk = Psk { id: PskId(1), key: Secret::from("k"), until: None, hub: None };
        assert!(psk.is_valid(u64::MAX));
        psk.until = Some(100);
        assert!(psk.is_valid(99) && !psk.is_valid(100));
    }
}
