//! How fast this machine is just now: well-known parts of a gateway's work, none of them written here, beside what they took
//! on the machine that the aims of `docs/performance.md` were measured on. A figure that misses its aim by less than this
//! factor misses it by the machine.

use super::wake::thread_cpu;
use crate::crypto::dh::{DhJob, KeyPair};
use crate::crypto::engine::{EspEngine, OpenJob, OpenKey, SealJob, SealKey};
use crate::crypto::suite::{DhGroup, EspAuth, EspCipher, EspSuite};
use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf};
use anyhow::Context as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

/// Payload bytes of an ESP packet.
const PACKET: usize = 1400;
/// Times that something is done between two looks at the clock, and how often: the median counts.
const TIMES: u32 = 32;
const ROUNDS: usize = 15;

/// One part.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Part {
    /// What is done.
    pub what: &'static str,
    /// CPU time here, in microseconds.
    pub here_us: f64,
    /// The same on an AMD EPYC of the Zen 4 kind at 3.6 GHz, in a virtual machine.
    pub there_us: f64,
}

impl Part {
    /// How many times longer it takes here.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.here_us / self.there_us
    }
}

/// Measures all parts, in turns.
///
/// # Errors
/// What the kernel or the libraries say.
pub fn yardstick() -> anyhow::Result<Vec<Part>> {
    let suite = EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96);
    let keymat: Vec<u8> = (0..suite.key_len()).map(|n| n as u8).collect();
    let (seal_key, open_key) =
        (Arc::new(SealKey::portable(suite, &keymat)?), Arc::new(OpenKey::portable(suite, &keymat)?));
    let mut entropy = Entropy::from_system()?;
    let mut engine = EspEngine::new(entropy.fork());
    let seal = |engine: &mut EspEngine, buf| {
        let mut job = [SealJob { key: seal_key.clone(), spi: 1, seq: 1, next_header: 17, icv_len: 12, buf }];
        engine.seal(&mut job);
        let [job] = job;
        job.buf
    };
    let wire = seal(&mut engine, PacketBuf::from_slice(&[0x5A; PACKET]));
    let p256 = DhJob {
        group: DhGroup::Ecp256,
        remote_public: KeyPair::generate(DhGroup::Ecp256, &mut entropy)?.public().to_vec(),
    };
    let (here, there) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    here.connect(there.local_addr()?)?;
    there.set_nonblocking(true)?;
    let datagram = [0x5A; PACKET];

    let mut taken: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let mut bufs: Vec<_> = (0..TIMES).map(|_| PacketBuf::from_slice(&[0x5A; PACKET])).collect();
        taken[0].push(each(&mut || {
            bufs.pop().map(|buf| seal(&mut engine, buf)).context("counted wrong")?;
            Ok(())
        })?);
        let mut bufs: Vec<_> = (0..TIMES).map(|_| PacketBuf::from_slice(&wire)).collect();
        taken[1].push(each(&mut || {
            let (buf, result) = (bufs.pop().context("counted wrong")?, Err(Drop::BadIcv));
            let mut job = [OpenJob { key: open_key.clone(), spi: 1, seq: 1, icv_len: 12, buf, result }];
            engine.open(&mut job);
            let [job] = job;
            Ok(job.result?)
        })?);
        taken[2].push(each(&mut || {
            p256.run(&mut entropy)?;
            Ok(())
        })?);
        taken[3].push(each(&mut || {
            here.send(&datagram)?;
            Ok(())
        })?);
        let mut space = [0; PACKET];
        while there.recv(&mut space).is_ok() {}
    }
    let [sealing, opening, agreeing, sending] = taken.map(median);
    let part = |what, here_us, there_us| Part { what, here_us, there_us };
    Ok(vec![
        part("RustCrypto seals a packet of 1400 bytes, AES-256-CBC and HMAC-SHA1", sealing, 2.54),
        part("RustCrypto opens it", opening, 1.14),
        part("AWS-LC makes a key of P-256 and agrees", agreeing, 72.2),
        part("Linux takes and delivers a datagram of 1400 bytes on loopback", sending, 2.64),
    ])
}

/// The CPU time of one of [`TIMES`], in microseconds.
fn each(work: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let began = thread_cpu()?;
    for _ in 0..TIMES {
        work()?;
    }
    Ok((thread_cpu()?.saturating_sub(began) / TIMES).as_secs_f64() * 1e6)
}

fn median(mut taken: Vec<f64>) -> f64 {
    taken.sort_by(f64::total_cmp);
    taken.get(taken.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_takes_its_time() {
        let parts = yardstick().unwrap();
        assert!(
            parts.len() == 4 && parts.iter().all(|part| part.here_us > 0.0 && part.factor() > 0.0),
            "{parts:?}"
        );
    }
}
