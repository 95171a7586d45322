//! What an IKEv2 client is told: that only version 1 is spoken here (RFC 7296 sections 1.5 and 2.5).

use crate::wire::isakmp::payload::NotifyType;
use crate::wire::isakmp::{Chain, ChainWriter, Cookie, ExchangeType, Flags, Header, PayloadType};

/// Whether this is the first request of IKEv2.
#[must_use]
pub fn is_request(header: &Header) -> bool {
    header.version >> 4 == 2
        && header.exchange == ExchangeType::V2_SA_INIT
        && header.cookies.responder == Cookie::ZERO
        && !header.cookies.initiator.is_zero()
        && !header.flags.contains(Flags::V2_RESPONSE)
}

/// The unprotected answer to an IKEv2 request: INVALID_MAJOR_VERSION, our version in the header, everything else as in
/// the request. `None` if it is no such request. The caller limits the rate.
#[must_use]
pub fn refuse(request: &Header) -> Option<Vec<u8>> {
    if !is_request(request) {
        return None;
    }
    let mut chain = ChainWriter::new();
    // Protocol ID and SPI Size are zero: the notify is about no SA (RFC 7296 section 3.10).
    chain.put(PayloadType::V2_NOTIFY, |w| {
        w.u16(0);
        w.u16(NotifyType::INVALID_MAJOR_VERSION.0);
    });
    let flags = Flags::V2_RESPONSE;
    let header = Header { first: chain.first(), version: Header::VERSION_1_0, flags, ..*request };
    debug_assert_eq!(chain.bytes().len(), Chain::GENERIC_HEADER + 4);
    Some(header.message(chain.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn only_first_requests_are_answered() {
        let request = hex!("0102030405060708 0000000000000000 21 20 22 08 00000000 0000001c");
        let (header, _) = Header::parse(&request).unwrap();
        let answer = refuse(&header).unwrap();
        assert_eq!(
            answer,
            hex!("0102030405060708 0000000000000000 29 10 22 20 00000000 00000024 00000008 0000 0005")
        );
        let (answer, _) = Header::parse(&answer).unwrap();
        assert_eq!(refuse(&answer), None, "two of us do not play ping-pong");
        assert_eq!(refuse(&Header { version: 0x10, ..header }), None);
        assert_eq!(refuse(&Header { exchange: ExchangeType::V2_AUTH, ..header }), None);
    }
}
