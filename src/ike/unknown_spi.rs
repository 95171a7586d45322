//! What a device is told whose ESP packets we cannot open because we have lost its SA, after a restart for instance.

use super::phase1::clear_informational;
use crate::entropy::Entropy;
use crate::wire::isakmp::payload::{Notify, NotifyType};
use crate::wire::isakmp::sa::{DOI_IPSEC, Protocol};
use crate::wire::isakmp::{Cookie, Cookies};

/// INVALID-SPI in the clear (RFC 2408 section 3.14.1): there is no ISAKMP SA that could protect it, so the responder's
/// cookie is zero. A client has no reason to trust it, and at most takes it as a hint to ask whether we are still there.
/// The caller limits the rate.
#[must_use]
pub fn unknown_spi(entropy: &mut Entropy, spi: u32) -> Vec<u8> {
    let notify = Notify {
        doi: DOI_IPSEC,
        protocol: Protocol::ESP,
        spi: spi.to_be_bytes().to_vec(),
        kind: NotifyType::INVALID_SPI,
        data: Vec::new(),
    };
    let initiator = Cookie((entropy.u64() | 1).to_be_bytes());
    clear_informational(Cookies { initiator, responder: Cookie::ZERO }, entropy, &notify)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::isakmp::{Chain, ExchangeType, Header, MessageId, PayloadType};

    #[test]
    fn it_names_the_spi_and_is_in_the_clear() {
        let message = unknown_spi(&mut Entropy::from_number(1), 0x0203_0405);
        let (header, body) = Header::parse(&message).unwrap();
        assert_eq!(header.exchange, ExchangeType::INFORMATIONAL);
        assert!(!header.is_encrypted() && header.cookies.responder.is_zero());
        assert!(!header.cookies.initiator.is_zero() && header.message_id != MessageId(0));
        let chain = Chain::parse(header.first, body).unwrap();
        let notify = Notify::parse(chain.only(PayloadType::NOTIFY, "Notify payload").unwrap()).unwrap();
        assert_eq!((notify.kind, notify.protocol), (NotifyType::INVALID_SPI, Protocol::ESP));
        assert_eq!(notify.spi, [2, 3, 4, 5]);
    }
}
