//! `clients.KIND`: how a kind of client is treated, where that differs from what is built in.
//!
//! Nothing here widens what `ipsec.policy` and `ppp.auth` allow: lists change the order, and whatever they do not name
//! comes behind.

use super::{AuthProtocol, Limit, Span};
use crate::crypto::suite::{EspPattern, IkePattern};
use crate::esp::Renewal;
use crate::ike::{ClientHint, Quirks};
use crate::ppp::AuthMethod;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::time::Duration;

/// `clients.KIND`; what is not said stays as it is built in.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// Algorithms of Phase 1 that rank above the others.
    pub ike: Option<Vec<Written<IkePattern>>>,
    /// Algorithms of Phase 2 that rank above the others.
    pub esp: Option<Vec<Written<EspPattern>>>,
    /// Whether it may cut SHA2-256 in ESP to 96 bits, so that other algorithms rank above it.
    pub truncates_sha256: Option<bool>,
    /// Vendor IDs to send besides those that answer its own.
    pub vendor_ids: Option<Vec<VendorId>>,
    /// Authentication protocols to offer first.
    pub auth: Option<Vec<AuthProtocol>>,
    /// Dead Peer Detection.
    pub dpd: Option<Dpd>,
    /// Who renews the keys of ESP.
    pub rekey: Option<Rekey>,
    /// How long nothing is sent before a NAT keepalive is.
    pub keepalive: Option<Limit<Span>>,
    /// Whether it is kept from seeing a NAT before the gateway.
    pub hide_server_nat: Option<bool>,
    /// Whether its original addresses are answered with ours.
    pub nat_oa: Option<bool>,
}

/// Dead Peer Detection with a client that can do it.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Dpd {
    /// Announced, answered, and asked when the client is silent.
    Ask,
    /// Announced and answered.
    Answer,
    /// Not announced.
    None,
}

/// Who renews the keys of ESP.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Rekey {
    /// The client, and the gateway where the client does not.
    Client,
    /// The gateway, before the client would.
    Gateway,
    /// The client, and nobody where it does not.
    ClientOnly,
}

/// Algorithms in words, such as `aes256-sha1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written<T>(pub T);

impl<'de> Deserialize<'de> for Written<IkePattern> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let refusal = || unknown(&text, "aes256-sha256-modp2048", IkePattern::WORDS);
        IkePattern::parse(&text).map(Self).ok_or_else(refusal).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Written<EspPattern> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let refusal = || unknown(&text, "aes256-sha1", EspPattern::WORDS);
        EspPattern::parse(&text).map(Self).ok_or_else(refusal).map_err(D::Error::custom)
    }
}

fn unknown(text: &str, example: &str, words: &str) -> String {
    format!("`{text}` names no algorithms: join with `-`, as in {example}, one of each of {words}")
}

/// A vendor ID in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VendorId(pub Vec<u8>);

/// Some are a name in ASCII, most an MD5, Windows adds a version: none that anybody sends is longer.
const LONGEST_VENDOR_ID: usize = 40;

impl<'de> Deserialize<'de> for VendorId {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let refusal = || D::Error::custom("a vendor ID has 8 to 40 bytes, in hexadecimal digits and quotes");
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) || text.len() % 2 != 0 {
            return Err(refusal());
        }
        let bytes: Option<Vec<u8>> = (0..text.len())
            .step_by(2)
            .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        let fits = |bytes: &Vec<u8>| (8..=LONGEST_VENDOR_ID).contains(&bytes.len());
        bytes.filter(fits).map(Self).ok_or_else(refusal)
    }
}

impl Client {
    /// The built-in quirks of a kind with these changes.
    #[must_use]
    pub fn quirks(&self, hint: ClientHint) -> Quirks {
        let built_in = Quirks::of(hint);
        let patterns = |list: &[Written<IkePattern>]| list.iter().map(|pattern| pattern.0).collect();
        let esp_patterns = |list: &[Written<EspPattern>]| list.iter().map(|pattern| pattern.0).collect();
        let ids = |list: &[VendorId]| list.iter().map(|id| id.0.clone()).collect();
        Quirks {
            prefer_ike: self.ike.as_deref().map_or(built_in.prefer_ike, patterns),
            prefer_esp: self.esp.as_deref().map_or(built_in.prefer_esp, esp_patterns),
            may_truncate_sha256: self.truncates_sha256.unwrap_or(built_in.may_truncate_sha256),
            hide_server_nat: self.hide_server_nat.unwrap_or(built_in.hide_server_nat),
            announce_dpd: self.dpd.map_or(built_in.announce_dpd, |dpd| dpd != Dpd::None),
            probe_dpd: self.dpd.map_or(built_in.probe_dpd, |dpd| dpd == Dpd::Ask),
            send_nat_oa: self.nat_oa.unwrap_or(built_in.send_nat_oa),
            vendor_ids: self.vendor_ids.as_deref().map_or(built_in.vendor_ids, ids),
        }
    }

    /// Who renews ESP's keys.
    #[must_use]
    pub fn renewal(&self) -> Renewal {
        match self.rekey {
            None | Some(Rekey::Client) => Renewal::AtTheEnd,
            Some(Rekey::Gateway) => Renewal::Early,
            Some(Rekey::ClientOnly) => Renewal::Never,
        }
    }

    /// The interval of NAT keepalives.
    #[must_use]
    pub fn keepalive(&self) -> Option<Duration> {
        Limit::of(self.keepalive).map(|span| span.0)
    }

    /// What is allowed, in the order for a kind: first what is named, then the rest as it stands.
    ///
    /// Built in: no system's own client speaks EAP unless it is told to, and Android answers it by naming CHAP, which is
    /// worse than what it could do. So EAP comes last there; whoever was set to EAP names it and gets it.
    #[must_use]
    pub fn auth(&self, hint: ClientHint, allowed: &[AuthMethod]) -> Vec<AuthMethod> {
        let named: Vec<AuthMethod> = match &self.auth {
            Some(order) => order.iter().map(|protocol| protocol.method()).collect(),
            None if matches!(hint, ClientHint::Android | ClientHint::Apple) => {
                allowed.iter().copied().filter(|method| !method.is_eap()).collect()
            }
            None => Vec::new(),
        };
        let first = named.iter().copied().filter(|method| allowed.contains(method));
        let rest = allowed.iter().copied().filter(|method| !named.contains(method));
        first.chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_authentication_never_widens_what_is_allowed() {
        use AuthMethod::{ChapMd5, EapMsChapV2, MsChapV2, Pap};
        let allowed = [EapMsChapV2, MsChapV2, ChapMd5];
        let plain = Client::default();
        assert_eq!(plain.auth(ClientHint::Windows, &allowed), allowed);
        assert_eq!(plain.auth(ClientHint::Android, &allowed), [MsChapV2, ChapMd5, EapMsChapV2]);
        let told = Client { auth: Some(vec![AuthProtocol::Pap, AuthProtocol::Chap]), ..plain };
        assert_eq!(told.auth(ClientHint::Android, &allowed), [ChapMd5, EapMsChapV2, MsChapV2]);
        assert_eq!(told.auth(ClientHint::Android, &[Pap]), [Pap]);
    }

    #[test]
    fn what_is_not_said_stays_as_it_is_built_in() {
        for (_, hint) in ClientHint::ALL {
            assert_eq!(Client::default().quirks(hint), Quirks::of(hint));
        }
        assert_eq!(Client::default().renewal(), Renewal::AtTheEnd);
        assert_eq!(Client::default().keepalive(), None);
    }
}
