//! The client core, for which the gateway is the stranger: the self-test and the load generator run it.

use super::initiator::PSK;
use super::steps::{number, origin, steps};
use sekisho::client::ike::{self, Initiator, profile};
use sekisho::client::lac::{self, Lac};
use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::packet::{Encap, PacketBuf, Path};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a step can be. The numbers are those of the corpus: new ones go to the end.
pub(crate) mod op {
    /// An ISAKMP message as it is.
    pub(crate) const IKE: u8 = 0;
    /// An ISAKMP message with the initiator's cookie: all but the first eight bytes.
    pub(crate) const IKE_OURS: u8 = 1;
    /// An L2TP message as it is.
    pub(crate) const L2TP: u8 = 2;
    /// An L2TP control message for the client's tunnel: Ns, Nr, body.
    pub(crate) const L2TP_OURS: u8 = 3;
    /// Time goes by: tenths of seconds.
    pub(crate) const TIME: u8 = 4;
    /// The client leaves.
    pub(crate) const STOP: u8 = 5;
}

/// The first byte chooses the kind of client; then a sequence of steps.
pub(super) fn client(bytes: &[u8]) {
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let psk = Secret::from(PSK);
    let (config, habits) = match choice % 4 {
        0 => (profile::android(psk, profile::Android::Seven), lac::Habits::android()),
        1 => (profile::apple(psk, 0), lac::Habits::apple()),
        2 => (profile::strongswan(psk), lac::Habits::xl2tpd()),
        _ => (profile::windows(psk), lac::Habits::windows()),
    };
    let path = Path {
        encap: Encap::Ike,
        local: SocketAddr::from(([192, 168, 7, 2], 500)),
        remote: SocketAddr::from(([203, 0, 113, 1], 500)),
    };
    let mut now = origin();
    let mut entropy = Entropy::from_number(1);
    let mut initiator = Initiator::new(config, entropy.fork());
    let mut lac = Lac::new(habits, &mut entropy);
    let mut ike_out = ike::Output::default();
    initiator.start(now, path, &mut ike_out);
    let cookie = ike_out.packets.first().map_or([0; 8], |first| *first.buf.first_chunk().expect("a header"));
    lac.start(now, &mut lac::Output::default());
    for (op, argument) in steps(bytes) {
        let (mut ike_out, mut lac_out) = (ike::Output::default(), lac::Output::default());
        match op % 6 {
            op::IKE => {
                let _ = initiator.handle(now, path, argument, &mut ike_out);
            }
            op::IKE_OURS => {
                let _ = initiator.handle(now, path, &[&cookie, argument].concat(), &mut ike_out);
            }
            op::L2TP => {
                let _ = lac.handle_control(now, argument, &mut lac_out);
                let _ = lac.strip_data(&mut PacketBuf::from_slice(argument));
            }
            op::L2TP_OURS => {
                let mut message = vec![0xc8, 2];
                message.extend_from_slice(&(8 + argument.len() as u16).to_be_bytes());
                message.extend_from_slice(&lac.tunnel().0.to_be_bytes());
                message.extend_from_slice(&[0, 0]);
                message.extend_from_slice(argument);
                let _ = lac.handle_control(now, &message, &mut lac_out);
            }
            op::TIME => {
                let end = now + Duration::from_millis(100 * number(argument) as u64);
                now = pass(now, end, &mut initiator, &mut lac);
            }
            _ => {
                lac.stop(now, &mut lac_out);
                initiator.close(&mut ike_out);
            }
        }
        assert!(ike_out.packets.len() <= 16 && lac_out.packets.len() <= 16);
    }
    pass(now, now + Duration::from_secs(3600), &mut initiator, &mut lac);
}

fn pass(mut now: Instant, end: Instant, initiator: &mut Initiator, lac: &mut Lac) -> Instant {
    let next = |initiator: &Initiator, lac: &Lac| {
        initiator.poll_timeout().into_iter().chain(lac.poll_timeout()).min()
    };
    for _ in 0..10_000 {
        let Some(at) = next(initiator, lac).filter(|at| *at <= end) else { return end };
        now = now.max(at);
        initiator.handle_timeout(now, &mut ike::Output::default());
        lac.handle_timeout(now, &mut lac::Output::default());
    }
    panic!("timers without end");
}
