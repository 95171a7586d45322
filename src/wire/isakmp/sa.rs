//! The Security Association payload: proposals, their transforms, and the attributes of those (RFC 2408 sections 3.4 to
//! 3.6 and 3.3; the numbers from RFC 2407 section 4 and RFC 2409 appendix A).
//!
//! Attributes come in two forms (RFC 2408 section 3.3) and any order; both survive a round trip, so that the chosen
//! transform can be returned exactly as it was offered, which RFC 2409 section 5 demands.

use crate::wire::{Error, Kind, Reader, Writer, wire_enum};

/// Most proposals in one SA payload.
pub const MAX_PROPOSALS: usize = 32;
/// Most transforms in one proposal. Phones send 20.
pub const MAX_TRANSFORMS: usize = 64;
/// Most attributes of one transform. Clients send seven at most.
pub const MAX_ATTRIBUTES: usize = 24;
/// Longest SPI of a proposal: ISAKMP cookies.
pub const MAX_SPI: usize = 16;

/// The only Domain of Interpretation that there is: IPsec (RFC 2407).
pub const DOI_IPSEC: u32 = 1;
/// SIT_IDENTITY_ONLY (RFC 2407 section 4.2.1).
pub const SITUATION_IDENTITY_ONLY: u32 = 1;

wire_enum! {
    /// Protocols that a proposal is about (RFC 2407 section 4.4.1).
    pub struct Protocol(u8) {
        ISAKMP = 1,
        AH = 2,
        ESP = 3,
        IPCOMP = 4,
    }
}

wire_enum! {
    /// Attributes of a Phase 1 transform (RFC 2409 appendix A).
    pub struct Phase1Attribute(u16) {
        ENCRYPTION = 1,
        HASH = 2,
        AUTHENTICATION = 3,
        GROUP = 4,
        GROUP_TYPE = 5,
        LIFE_TYPE = 11,
        LIFE_DURATION = 12,
        PRF = 13,
        KEY_LENGTH = 14,
    }
}

wire_enum! {
    /// Authentication methods of Phase 1 (RFC 2409 appendix A and private ones).
    pub struct AuthMethod(u16) {
        PRE_SHARED_KEY = 1,
        DSS_SIGNATURES = 2,
        RSA_SIGNATURES = 3,
        RSA_ENCRYPTION = 4,
        RSA_REVISED_ENCRYPTION = 5,
        ECDSA_256 = 9,
        ECDSA_384 = 10,
        ECDSA_521 = 11,
        HYBRID_RSA = 64221,
        XAUTH_PRE_SHARED_KEY = 65001,
        XAUTH_RSA = 65005,
    }
}

wire_enum! {
    /// Attributes of a Phase 2 transform (RFC 2407 section 4.5).
    pub struct Phase2Attribute(u16) {
        LIFE_TYPE = 1,
        LIFE_DURATION = 2,
        GROUP = 3,
        ENCAPSULATION = 4,
        AUTHENTICATION = 5,
        KEY_LENGTH = 6,
        KEY_ROUNDS = 7,
        ESN = 11,
    }
}

wire_enum! {
    /// What a lifetime is measured in; the same numbers in both phases.
    pub struct LifeType(u16) {
        SECONDS = 1,
        KILOBYTES = 2,
    }
}

wire_enum! {
    /// Encapsulation modes (RFC 2407 section 4.5, RFC 3947 section 5.1 and its drafts).
    pub struct Encapsulation(u16) {
        TUNNEL = 1,
        TRANSPORT = 2,
        UDP_TUNNEL = 3,
        UDP_TRANSPORT = 4,
        UDP_TUNNEL_DRAFT = 61443,
        UDP_TRANSPORT_DRAFT = 61444,
    }
}

/// Value of a data attribute: the short form has room for 16 bits, the long one for any length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// TV: AF bit set, two bytes of value.
    Short(u16),
    /// TLV: AF bit clear.
    Long(Vec<u8>),
}

/// A data attribute (RFC 2408 section 3.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Without the AF bit; its meaning depends on the phase.
    pub kind: u16,
    /// In the form that was sent.
    pub value: Value,
}

impl Attribute {
    const AF: u16 = 0x8000;

    /// An attribute in the short form.
    #[must_use]
    pub const fn short(kind: u16, value: u16) -> Self {
        Self { kind, value: Value::Short(value) }
    }

    /// A 32-bit value in the long form.
    #[must_use]
    pub fn long(kind: u16, value: u32) -> Self {
        Self { kind, value: Value::Long(value.to_be_bytes().to_vec()) }
    }

    /// The number that it holds, in either form. `None` if it does not fit.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match &self.value {
            Value::Short(value) => Some(u64::from(*value)),
            Value::Long(bytes) => {
                let significant = bytes.iter().skip_while(|b| **b == 0);
                if significant.clone().count() > 8 {
                    return None;
                }
                Some(significant.fold(0, |n, b| n << 8 | u64::from(*b)))
            }
        }
    }

    fn parse(r: &mut Reader<'_>) -> Result<Self, Error> {
        let kind = r.u16("Attribute Type")?;
        let value = if kind & Self::AF != 0 {
            Value::Short(r.u16("Attribute Value")?)
        } else {
            let len = r.u16("Attribute Length")?;
            Value::Long(r.take(usize::from(len), "Attribute Value")?.to_vec())
        };
        Ok(Self { kind: kind & !Self::AF, value })
    }

    fn emit(&self, w: &mut Writer) {
        match &self.value {
            Value::Short(value) => {
                w.u16(self.kind | Self::AF);
                w.u16(*value);
            }
            Value::Long(bytes) => {
                w.u16(self.kind & !Self::AF);
                w.len16(0, |w| w.bytes(bytes));
            }
        }
    }
}

/// One way to protect something (RFC 2408 section 3.6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transform {
    /// The sender's count.
    pub number: u8,
    /// KEY_IKE (1) in Phase 1, the cipher in Phase 2.
    pub id: u8,
    /// In the order sent.
    pub attributes: Vec<Attribute>,
}

impl Transform {
    /// KEY_IKE (RFC 2407 section 4.4.2), the only transform of Phase 1.
    pub const KEY_IKE: u8 = 1;

    /// The number in the first attribute of this type.
    #[must_use]
    pub fn number_of(&self, kind: u16) -> Option<u64> {
        self.attributes.iter().find(|a| a.kind == kind).and_then(Attribute::number)
    }

    /// The lifetime in the unit asked for. A Life Type applies to the Life Duration that follows it
    /// (RFC 2407 section 4.5); `types` are the two attribute numbers of the phase.
    #[must_use]
    pub fn lifetime(&self, unit: LifeType, types: (u16, u16)) -> Option<u64> {
        let mut current = None;
        for attribute in &self.attributes {
            if attribute.kind == types.0 {
                current = attribute.number();
            } else if attribute.kind == types.1 && current == Some(u64::from(unit.0)) {
                return attribute.number();
            }
        }
        None
    }

    /// Lifetime of a Phase 1 transform.
    #[must_use]
    pub fn phase1_lifetime(&self, unit: LifeType) -> Option<u64> {
        self.lifetime(unit, (Phase1Attribute::LIFE_TYPE.0, Phase1Attribute::LIFE_DURATION.0))
    }

    /// Lifetime of a Phase 2 transform.
    #[must_use]
    pub fn phase2_lifetime(&self, unit: LifeType) -> Option<u64> {
        self.lifetime(unit, (Phase2Attribute::LIFE_TYPE.0, Phase2Attribute::LIFE_DURATION.0))
    }

    fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let number = r.u8("Transform #")?;
        let id = r.u8("Transform-Id")?;
        r.u16("RESERVED2")?;
        let mut attributes = Vec::new();
        while !r.is_empty() {
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(Error::new("SA Attributes", Kind::TooMany));
            }
            attributes.push(Attribute::parse(&mut r)?);
        }
        Ok(Self { number, id, attributes })
    }

    fn emit(&self, w: &mut Writer) {
        w.u8(self.number);
        w.u8(self.id);
        w.u16(0);
        self.attributes.iter().for_each(|a| a.emit(w));
    }
}

/// A protocol with the transforms that its sender would take for it (RFC 2408 section 3.5). Proposals with the same
/// number belong together: all of them or none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Equal numbers mean AND, different ones OR.
    pub number: u8,
    /// What it protects with.
    pub protocol: Protocol,
    /// The sender's inbound SPI: empty in Phase 1, four bytes for ESP.
    pub spi: Vec<u8>,
    /// In the sender's order of preference.
    pub transforms: Vec<Transform>,
}

impl Proposal {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let number = r.u8("Proposal #")?;
        let protocol = Protocol(r.u8("Protocol-Id")?);
        let spi_len = usize::from(r.u8("SPI Size")?);
        if spi_len > MAX_SPI {
            return Err(Error::new("SPI Size", Kind::BadLength));
        }
        let count = usize::from(r.u8("# of Transforms")?);
        let spi = r.take(spi_len, "SPI")?.to_vec();
        let transforms = list(r.rest(), 3, MAX_TRANSFORMS, "Transform", Transform::parse)?;
        if transforms.len() != count {
            return Err(Error::new("# of Transforms", Kind::BadValue));
        }
        Ok(Self { number, protocol, spi, transforms })
    }

    fn emit(&self, w: &mut Writer) {
        w.u8(self.number);
        w.u8(self.protocol.0);
        w.u8(u8::try_from(self.spi.len()).unwrap_or(u8::MAX));
        w.u8(u8::try_from(self.transforms.len()).unwrap_or(u8::MAX));
        w.bytes(&self.spi);
        emit_list(w, 3, &self.transforms, Transform::emit);
    }
}

/// Body of the Security Association payload (RFC 2408 section 3.4, RFC 2407 section 4.6.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sa {
    /// [`DOI_IPSEC`]; zero is the generic ISAKMP DOI.
    pub doi: u32,
    /// [`SITUATION_IDENTITY_ONLY`].
    pub situation: u32,
    /// In the sender's order of preference.
    pub proposals: Vec<Proposal>,
}

impl Sa {
    /// An SA payload of the IPsec DOI.
    #[must_use]
    pub const fn new(proposals: Vec<Proposal>) -> Self {
        Self { doi: DOI_IPSEC, situation: SITUATION_IDENTITY_ONLY, proposals }
    }

    /// Reads the body of an SA payload.
    ///
    /// # Errors
    /// If a length or a count contradicts itself, the situation is not identity-only (the layout of others differs),
    /// or a bound of this module is exceeded.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let doi = r.u32("DOI")?;
        let situation = r.u32("Situation")?;
        if doi == DOI_IPSEC && situation != SITUATION_IDENTITY_ONLY {
            return Err(Error::new("Situation", Kind::BadValue));
        }
        let proposals = list(r.rest(), 2, MAX_PROPOSALS, "Proposal", Proposal::parse)?;
        Ok(Self { doi, situation, proposals })
    }

    /// Writes the body.
    pub fn emit(&self, w: &mut Writer) {
        w.u32(self.doi);
        w.u32(self.situation);
        emit_list(w, 2, &self.proposals, Proposal::emit);
    }
}

/// Reads substructures (proposals, transforms) that start with more? | RESERVED | Length. "More" is their own type
/// number or, for the last one, zero.
fn list<T>(
    bytes: &[u8],
    more: u8,
    max: usize,
    what: &'static str,
    parse: impl Fn(&[u8]) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut r = Reader::new(bytes);
    let mut items = Vec::new();
    while !r.is_empty() {
        if items.len() == max {
            return Err(Error::new(what, Kind::TooMany));
        }
        let next = r.u8(what)?;
        r.u8(what)?;
        let len = usize::from(r.u16(what)?);
        let body = r.take(len.checked_sub(4).ok_or(Error::new(what, Kind::BadLength))?, what)?;
        items.push(parse(body)?);
        // A client that forgets the link but not the bytes is not worth losing: the lengths decide.
        if next != more && next != 0 {
            return Err(Error::new(what, Kind::BadValue));
        }
    }
    Ok(items)
}

fn emit_list<T>(w: &mut Writer, more: u8, items: &[T], emit: impl Fn(&T, &mut Writer)) {
    for (i, item) in items.iter().enumerate() {
        w.u8(if i + 1 == items.len() { 0 } else { more });
        w.u8(0);
        w.len16(4, |w| emit(item, w));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// Windows 10 in Quick Mode: seconds and kilobytes, both in the long form.
    const WINDOWS_ESP: [u8; 64] = hex!(
        "00000001 00000001"
        "00000038 01 03 04 01 c0ffee01"
        "0000002c 01 0c 0000 80040004 80060100 80050002"
        "80010001 00020004 00000e10"
        "80010002 00020004 0003d090"
    );

    #[test]
    fn lifetimes_in_both_forms_and_any_order() {
        let sa = Sa::parse(&WINDOWS_ESP).unwrap();
        let transform = &sa.proposals[0].transforms[0];
        assert_eq!(sa.proposals[0].spi, hex!("c0ffee01"));
        assert_eq!(transform.phase2_lifetime(LifeType::SECONDS), Some(3600));
        assert_eq!(transform.phase2_lifetime(LifeType::KILOBYTES), Some(250_000));
        assert_eq!(transform.number_of(Phase2Attribute::ENCAPSULATION.0), Some(4));
        let mut w = Writer::new();
        sa.emit(&mut w);
        assert_eq!(w.finish(), WINDOWS_ESP);

        let first = Transform {
            number: 1,
            id: 1,
            attributes: vec![
                Attribute::short(Phase1Attribute::LIFE_TYPE.0, 1),
                Attribute::short(Phase1Attribute::LIFE_DURATION.0, 28800),
                Attribute::short(Phase1Attribute::ENCRYPTION.0, 7),
            ],
        };
        assert_eq!(first.phase1_lifetime(LifeType::SECONDS), Some(28800));
        assert_eq!(first.phase1_lifetime(LifeType::KILOBYTES), None);
    }

    #[test]
    fn long_numbers_are_read_or_refused() {
        let long = |bytes: &[u8]| Attribute { kind: 1, value: Value::Long(bytes.to_vec()) }.number();
        assert_eq!(long(&[]), Some(0));
        assert_eq!(long(&[0; 20]), Some(0));
        assert_eq!(long(&[0xff; 8]), Some(u64::MAX));
        assert_eq!(long(&[1; 9]), None);
    }

    #[test]
    fn contradictions_are_refused() {
        let broken = |at: usize, value: u8| {
            let mut bytes = WINDOWS_ESP;
            bytes[at] = value;
            Sa::parse(&bytes).unwrap_err()
        };
        assert_eq!(broken(7, 2).what, "Situation");
        assert_eq!(broken(11, 0x39).kind, Kind::Truncated);
        assert_eq!(broken(11, 3).kind, Kind::BadLength);
        assert_eq!(broken(8, 9).kind, Kind::BadValue);
        assert_eq!(broken(15, 2).what, "# of Transforms");
        assert_eq!(broken(14, 17).what, "SPI Size");
    }

    #[test]
    fn many_transforms_are_kept_and_too_many_refused() {
        let transform = |n| Transform { number: n, id: 1, attributes: vec![Attribute::short(1, 7)] };
        let offer = |n: u8| {
            let transforms = (0..n).map(transform).collect();
            Sa::new(vec![Proposal { number: 1, protocol: Protocol::ISAKMP, spi: vec![], transforms }])
        };
        let emitted = |sa: &Sa| {
            let mut w = Writer::new();
            sa.emit(&mut w);
            w.finish()
        };
        let many = offer(64);
        assert_eq!(Sa::parse(&emitted(&many)), Ok(many));
        assert_eq!(Sa::parse(&emitted(&offer(65))).unwrap_err().kind, Kind::TooMany);
    }
}
