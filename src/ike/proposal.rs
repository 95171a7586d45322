//! Choosing: of what the client offers, the entry that stands highest in *our* ranking, and if there is none, why.
//!
//! The chosen transform goes back exactly as it was offered (RFC 2409 section 5: "the Responder MUST NOT modify
//! attributes of any offer"), lifetimes included. Attributes come in any order. A transform with an attribute that we
//! do not know is passed over.

use super::quirks::Quirks;
use super::settings::Policy;
use crate::crypto::suite::{DhGroup, EspAuth, EspCipher, EspSuite, HashAlg, IkeCipher, IkeSuite};
use crate::wire::isakmp::sa::{
    AuthMethod, Encapsulation, LifeType, Phase1Attribute, Phase2Attribute, Proposal, Protocol, Sa, Transform,
};
use std::fmt;

/// Most offers that are put into words.
const MAX_OFFERED: usize = 40;

/// Why nothing was chosen: the first element that no offer satisfies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mismatch {
    /// No proposal for the protocol that it is about, or none that parses to anything that we know.
    Nothing,
    /// No offer authenticates with a pre-shared key (certificates, XAUTH).
    PreSharedKey,
    /// No Diffie-Hellman group that our policy allows.
    Group,
    /// No cipher that our policy allows.
    Cipher,
    /// No hash that our policy allows.
    Hash,
    /// Tunnel mode, or an encapsulation that does not fit the NAT situation.
    Encapsulation,
    /// Each element is allowed in some offer, but in none all of them.
    Combination,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "no offer that is known here",
            Self::PreSharedKey => "no offer with a pre-shared key",
            Self::Group => "no Diffie-Hellman group that the policy allows",
            Self::Cipher => "no cipher that the policy allows",
            Self::Hash => "no hash that the policy allows",
            Self::Encapsulation => "no encapsulation that fits (transport mode is needed)",
            Self::Combination => "no combination that the policy allows",
        })
    }
}

/// An offer of Phase 1 as far as we understand it.
struct Phase1Offer<'a> {
    proposal: &'a Proposal,
    transform: &'a Transform,
    suite: Option<IkeSuite>,
    cipher: Option<IkeCipher>,
    hash: Option<HashAlg>,
    group: Option<DhGroup>,
    psk: bool,
}

/// The attribute as a number of 16 bits.
fn small(transform: &Transform, kind: u16) -> Option<u16> {
    transform.number_of(kind).and_then(|n| u16::try_from(n).ok())
}

fn phase1_offers(sa: &Sa) -> impl Iterator<Item = Phase1Offer<'_>> {
    let proposals = sa.proposals.iter().filter(|p| p.protocol == Protocol::ISAKMP);
    let pairs = proposals.flat_map(|p| p.transforms.iter().map(move |t| (p, t)));
    pairs.filter(|(_, t)| t.id == Transform::KEY_IKE).map(|(proposal, transform)| {
        let number = |kind: Phase1Attribute| small(transform, kind.0);
        let cipher = number(Phase1Attribute::ENCRYPTION)
            .and_then(|c| IkeCipher::from_attributes(c, number(Phase1Attribute::KEY_LENGTH)));
        let hash = number(Phase1Attribute::HASH).and_then(HashAlg::from_attribute);
        let group = number(Phase1Attribute::GROUP).and_then(DhGroup::from_attribute);
        let known = transform.attributes.iter().all(|a| {
            matches!(
                Phase1Attribute(a.kind),
                Phase1Attribute::ENCRYPTION
                    | Phase1Attribute::HASH
                    | Phase1Attribute::AUTHENTICATION
                    | Phase1Attribute::GROUP
                    | Phase1Attribute::LIFE_TYPE
                    | Phase1Attribute::LIFE_DURATION
                    | Phase1Attribute::KEY_LENGTH
            )
        });
        let suite = match (cipher, hash, group) {
            (Some(cipher), Some(hash), Some(group)) if known => Some(IkeSuite::new(cipher, hash, group)),
            _ => None,
        };
        let psk = number(Phase1Attribute::AUTHENTICATION) == Some(AuthMethod::PRE_SHARED_KEY.0);
        Phase1Offer { proposal, transform, suite, cipher, hash, group, psk }
    })
}

/// The pre-shared-key suites that are offered and known, in the client's order.
pub(super) fn phase1_suites(sa: &Sa) -> Vec<IkeSuite> {
    phase1_offers(sa).filter(|o| o.psk).filter_map(|o| o.suite).collect()
}

/// What Phase 1 was offered, in words.
pub(super) fn describe_phase1(sa: &Sa) -> Vec<String> {
    let describe = |o: Phase1Offer<'_>| {
        let number = |kind: Phase1Attribute| small(o.transform, kind.0).unwrap_or(0);
        let cipher = o.cipher.map_or_else(
            || format!("cipher {}", number(Phase1Attribute::ENCRYPTION)),
            |cipher| cipher.to_string(),
        );
        let hash =
            o.hash.map_or_else(|| format!("hash {}", number(Phase1Attribute::HASH)), |hash| hash.to_string());
        let group = o
            .group
            .map_or_else(|| format!("group {}", number(Phase1Attribute::GROUP)), |group| group.to_string());
        let method = AuthMethod(number(Phase1Attribute::AUTHENTICATION));
        let method = if o.psk { String::new() } else { format!("/{method}") };
        format!("{cipher}/{hash}/{group}{method}")
    };
    phase1_offers(sa).take(MAX_OFFERED).map(describe).collect()
}

/// What was chosen for Phase 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Phase1Choice {
    pub(super) suite: IkeSuite,
    /// The SA payload of the answer: the one proposal with the one transform.
    pub(super) answer: Sa,
    /// The client's lifetime in seconds.
    pub(super) seconds: Option<u64>,
}

/// Chooses a transform for Phase 1.
pub(super) fn choose_phase1(sa: &Sa, policy: &Policy, quirks: &Quirks) -> Result<Phase1Choice, Mismatch> {
    let rank = |suite: IkeSuite| {
        let rank = policy.ike.iter().position(|ours| *ours == suite)?;
        Some((quirks.rank_ike(suite), rank))
    };
    let best = phase1_offers(sa)
        .filter(|o| o.psk)
        .filter_map(|o| o.suite.and_then(rank).map(|rank| (rank, o)))
        .min_by_key(|(rank, _)| *rank);
    let Some(((_, rank), offer)) = best else { return Err(explain_phase1(sa, policy)) };
    let answer = Proposal {
        number: offer.proposal.number,
        protocol: Protocol::ISAKMP,
        // The cookies name the SA; an SPI here is the client's redundancy (RFC 2408 section 3.5).
        spi: Vec::new(),
        transforms: vec![offer.transform.clone()],
    };
    Ok(Phase1Choice {
        suite: policy.ike[rank],
        answer: Sa { doi: sa.doi, situation: sa.situation, proposals: vec![answer] },
        seconds: offer.transform.phase1_lifetime(LifeType::SECONDS).filter(|s| *s > 0),
    })
}

fn explain_phase1(sa: &Sa, policy: &Policy) -> Mismatch {
    let offers: Vec<_> = phase1_offers(sa).collect();
    let some = |test: &dyn Fn(&Phase1Offer<'_>) -> bool| offers.iter().filter(|o| o.psk).any(test);
    if offers.is_empty() {
        Mismatch::Nothing
    } else if !some(&|_| true) {
        Mismatch::PreSharedKey
    } else if !some(&|o| policy.ike.iter().any(|s| Some(s.group) == o.group)) {
        Mismatch::Group
    } else if !some(&|o| policy.ike.iter().any(|s| Some(s.cipher) == o.cipher)) {
        Mismatch::Cipher
    } else if !some(&|o| policy.ike.iter().any(|s| Some(s.hash) == o.hash)) {
        Mismatch::Hash
    } else {
        Mismatch::Combination
    }
}

/// An offer of Phase 2 as far as we understand it.
struct Phase2Offer<'a> {
    proposal: &'a Proposal,
    transform: &'a Transform,
    remote_spi: u32,
    suite: Option<EspSuite>,
    encapsulation: Encapsulation,
    /// The value of the Group attribute, if there is one: PFS.
    group: Option<u16>,
}

fn phase2_offers(sa: &Sa) -> impl Iterator<Item = Phase2Offer<'_>> {
    // Equal numbers are one proposal for several protocols (RFC 2408 section 4.2): ESP that insists on AH or IPCOMP
    // beside it cannot be had.
    let alone =
        |p: &&Proposal| !sa.proposals.iter().any(|q| q.number == p.number && q.protocol != p.protocol);
    let proposals = sa.proposals.iter().filter(|p| p.protocol == Protocol::ESP).filter(alone);
    let pairs = proposals.flat_map(|p| p.transforms.iter().map(move |t| (p, t)));
    pairs.filter_map(|(proposal, transform)| {
        let remote_spi =
            u32::from_be_bytes(*proposal.spi.first_chunk::<4>().filter(|_| proposal.spi.len() == 4)?);
        // Zero marks IKE on port 4500, and the rest up to 255 is reserved (RFC 4303 section 2.1).
        if remote_spi < 256 {
            return None;
        }
        let number = |kind: Phase2Attribute| small(transform, kind.0);
        let known = transform.attributes.iter().all(|a| {
            matches!(
                Phase2Attribute(a.kind),
                Phase2Attribute::LIFE_TYPE
                    | Phase2Attribute::LIFE_DURATION
                    | Phase2Attribute::GROUP
                    | Phase2Attribute::ENCAPSULATION
                    | Phase2Attribute::AUTHENTICATION
                    | Phase2Attribute::KEY_LENGTH
            )
        });
        let suite = EspSuite::from_transform(
            transform.id,
            number(Phase2Attribute::KEY_LENGTH),
            number(Phase2Attribute::AUTHENTICATION),
        );
        Some(Phase2Offer {
            proposal,
            transform,
            remote_spi,
            suite: suite.filter(|_| known),
            // RFC 2407 section 4.5: unspecified means "host-dependent"; nobody leaves it out who wants transport mode.
            encapsulation: number(Phase2Attribute::ENCAPSULATION)
                .map_or(Encapsulation::TUNNEL, Encapsulation),
            group: number(Phase2Attribute::GROUP),
        })
    })
}

/// What Phase 2 was offered, in words.
pub(super) fn describe_phase2(sa: &Sa) -> Vec<String> {
    let describe = |o: Phase2Offer<'_>| {
        let suite = o.suite.map_or_else(
            || {
                let auth = small(o.transform, Phase2Attribute::AUTHENTICATION.0).unwrap_or(0);
                format!("transform {}/auth {auth}", o.transform.id)
            },
            |suite| suite.to_string(),
        );
        let group = match o.group {
            Some(group) => DhGroup::from_attribute(group)
                .map_or_else(|| format!("/group {group}"), |group| format!("/{group}")),
            None => String::new(),
        };
        format!("{suite}{group} {}", o.encapsulation)
    };
    phase2_offers(sa).take(MAX_OFFERED).map(describe).collect()
}

/// What was chosen for Phase 2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Phase2Choice {
    pub(super) suite: EspSuite,
    /// The SA payload of the answer; its SPI is the client's and must be replaced by ours.
    pub(super) answer: Sa,
    /// The client's inbound SPI: ours for sending.
    pub(super) remote_spi: u32,
    pub(super) encapsulation: Encapsulation,
    pub(super) seconds: Option<u32>,
    pub(super) kilobytes: Option<u32>,
}

/// What a Quick Mode has to fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase2Need<'a> {
    pub(super) policy: &'a Policy,
    pub(super) quirks: &'a Quirks,
    /// Modes that fit the NAT situation, best first.
    pub(super) encapsulations: &'a [Encapsulation],
    /// The group of PFS as the KE payload implies it; `None` without KE.
    pub(super) group: Option<DhGroup>,
}

/// Chooses a transform for Phase 2.
pub(super) fn choose_phase2(sa: &Sa, need: &Phase2Need<'_>) -> Result<Phase2Choice, Mismatch> {
    let best = phase2_offers(sa)
        .filter(|o| o.group == need.group.map(DhGroup::attribute))
        .filter_map(|o| {
            let mode = need.encapsulations.iter().position(|mode| *mode == o.encapsulation)?;
            let rank = rank_esp(need, o.suite?)?;
            Some(((rank, mode), o))
        })
        .min_by_key(|(rank, _)| *rank);
    let Some((_, Phase2Offer { proposal, transform, remote_spi, suite: Some(suite), encapsulation, .. })) =
        best
    else {
        return Err(explain_phase2(sa, need));
    };
    let life = |unit| {
        let value = transform.phase2_lifetime(unit).filter(|value| *value > 0);
        value.map(|value| u32::try_from(value).unwrap_or(u32::MAX))
    };
    let answer = Proposal { transforms: vec![transform.clone()], ..proposal.clone() };
    Ok(Phase2Choice {
        suite,
        answer: Sa { doi: sa.doi, situation: sa.situation, proposals: vec![answer] },
        remote_spi,
        encapsulation,
        seconds: life(LifeType::SECONDS),
        kilobytes: life(LifeType::KILOBYTES),
    })
}

/// Our rank of a suite for this client: lower is better.
///
/// Interop: HMAC-SHA-256 of a client that may truncate it to 96 bits comes last among the sound MACs, SHA-1 first: it
/// is the one that all of them have and none gets wrong. A better cipher still weighs more than a better MAC.
fn rank_esp(need: &Phase2Need<'_>, suite: EspSuite) -> Option<(usize, u8, u8, usize)> {
    let rank = need.policy.esp.iter().position(|ours| *ours == suite)?;
    let preference = need.quirks.rank_esp(suite);
    if !need.quirks.may_truncate_sha256 {
        return Some((preference, 0, 0, rank));
    }
    let cipher = u8::from(suite.cipher() == EspCipher::TripleDesCbc);
    let auth = match suite.auth() {
        EspAuth::Aead | EspAuth::HmacSha1_96 => 0,
        EspAuth::HmacSha512_256 => 1,
        EspAuth::HmacSha384_192 => 2,
        EspAuth::HmacSha256_128 => 3,
        EspAuth::HmacMd5_96 => 4,
    };
    Some((preference, cipher, auth, rank))
}

fn explain_phase2(sa: &Sa, need: &Phase2Need<'_>) -> Mismatch {
    let offers: Vec<_> = phase2_offers(sa).collect();
    let suites = || offers.iter().filter_map(|o| o.suite);
    let ours = &need.policy.esp;
    if offers.is_empty() {
        Mismatch::Nothing
    } else if !offers.iter().any(|o| o.group == need.group.map(DhGroup::attribute)) {
        Mismatch::Group
    } else if !offers.iter().any(|o| need.encapsulations.contains(&o.encapsulation)) {
        Mismatch::Encapsulation
    } else if !suites().any(|s| ours.iter().any(|o| o.cipher() == s.cipher())) {
        Mismatch::Cipher
    } else if !suites().any(|s| ours.iter().any(|o| o.auth() == s.auth())) {
        Mismatch::Hash
    } else {
        Mismatch::Combination
    }
}

#[cfg(test)]
mod tests;
