//! First messages of Main Mode at a rate, each from another source, with nobody behind them: what a flood looks like.

use super::swarm::Places;
use super::{Target, client_profile};
use crate::client::{Device, Output};
use crate::entropy::Entropy;
use crate::packet::{Encap, PacketBuf, Transmit};
use crate::ppp::Login;
use crate::shell::udp::UdpSocket;
use anyhow::Context as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Messages that are sent in one go.
const ENOUGH: usize = 64;
/// Where the initiator's cookie stands, behind the marker of port 4500.
const COOKIE: std::ops::Range<usize> = 4..12;

/// Sends first messages from `target.clients` addresses in turn. Returns how many were sent.
///
/// # Errors
/// When it cannot begin.
pub fn flood(target: &Target, rate: f64, time: Duration) -> anyhow::Result<u64> {
    let profile = client_profile(target)?;
    let mut entropy = Entropy::from_system()?;
    let mut socket =
        UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, target.port)), Encap::NatT, false)?;
    let places = Places { server: target.server, source: target.source, ports: vec![socket.bound().port()] };
    let login = Login { name: Vec::new(), password: crate::crypto::Secret::from("") };
    let mut device = Device::new(profile, login, places.path(0), entropy.fork());
    let mut out = Output::default();
    let began = Instant::now();
    device.start(began, &mut out);
    let first = out.transmits.first().context("the client says nothing")?.buf.to_vec();
    let first = if first.starts_with(&[0; 4]) { first } else { [&[0; 4][..], &first].concat() };
    let mut sent = 0_u64;
    while began.elapsed() < time {
        let due = (began.elapsed().as_secs_f64() * rate) as u64;
        let count = usize::try_from(due.saturating_sub(sent)).unwrap_or(ENOUGH).min(ENOUGH);
        let messages: Vec<Transmit> = (0..count)
            .map(|n| {
                let mut message = first.clone();
                entropy.fill(&mut message[COOKIE]);
                let source = (sent as usize + n) % target.clients.max(1);
                Transmit { path: places.path(source), buf: PacketBuf::from_slice(&message) }
            })
            .collect();
        socket.send(&messages);
        sent += count as u64;
        if count < ENOUGH {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(sent)
}
