use super::*;
use crate::crypto::engine::{EspEngine, MAX_IV, SealJob, SealKey, scalar};
use crate::crypto::suite::{EspAuth, EspCipher};
use crate::entropy::Entropy;
use crate::packet::Drop;
use std::sync::Arc;
use std::time::Instant;

#[path = "../../tests/vectors/esp_packets.rs"]
mod esp_packets;

const SHA1: EspSuite = EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96);
const SHA256: EspSuite = EspSuite::of(EspCipher::Aes128Cbc, EspAuth::HmacSha256_128);
const GCM: EspSuite = EspSuite::of(EspCipher::Aes256Gcm16, EspAuth::Aead);

#[allow(clippy::disallowed_methods, reason = "an arbitrary origin of time")]
fn start() -> Instant {
    Instant::now()
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn key(suite: EspSuite, spi: u32) -> Secret {
    Secret::new((0..suite.key_len()).map(|i| (spi as u8).wrapping_add(i as u8)).collect())
}

/// The pair number `n` as the gateway sees it.
fn pair(suite: EspSuite, n: u32) -> SaParams {
    let (inbound_spi, outbound_spi) = (0x0100_0000 + n, 0xc000_0000 + n);
    SaParams {
        inbound_spi,
        outbound_spi,
        suite,
        inbound_key: key(suite, inbound_spi),
        outbound_key: key(suite, outbound_spi),
        udp_encap: true,
        life_seconds: Some(3600),
        life_kilobytes: None,
        confirmed: true,
        renewal: Renewal::AtTheEnd,
    }
}

/// The same pair as the client sees it.
fn mirrored(suite: EspSuite, n: u32) -> SaParams {
    let ours = pair(suite, n);
    SaParams {
        inbound_spi: ours.outbound_spi,
        outbound_spi: ours.inbound_spi,
        inbound_key: ours.outbound_key,
        outbound_key: ours.inbound_key,
        ..ours
    }
}

/// A gateway and a client with one engine.
struct World {
    now: Instant,
    engine: EspEngine,
    gateway: Sad,
    client: Sad,
}

impl World {
    fn new() -> Self {
        Self {
            now: start(),
            engine: EspEngine::new(Entropy::from_number(1)),
            gateway: Sad::new(Settings::default()),
            client: Sad::new(Settings::default()),
        }
    }

    fn with(suite: EspSuite) -> Self {
        let mut world = Self::new();
        world.install(suite, 1);
        world
    }

    fn install(&mut self, suite: EspSuite, n: u32) {
        assert_eq!(self.gateway.install(self.now, pair(suite, n)), Ok(None));
        assert_eq!(self.client.install(self.now, mirrored(suite, n)), Ok(None));
    }

    /// A packet from the client.
    fn sealed(&mut self, payload: &[u8]) -> PacketBuf {
        Self::seal(&mut self.engine, &mut self.client, self.now, payload)
    }

    /// A packet from the gateway.
    fn answered(&mut self, payload: &[u8]) -> PacketBuf {
        Self::seal(&mut self.engine, &mut self.gateway, self.now, payload)
    }

    fn seal(engine: &mut EspEngine, sad: &mut Sad, now: Instant, payload: &[u8]) -> PacketBuf {
        let mut jobs = [sad.seal(now, PacketBuf::from_slice(payload), 17).unwrap()];
        engine.seal(&mut jobs);
        let [job] = jobs;
        job.buf
    }

    /// Gives a packet to the gateway.
    fn receive(&mut self, packet: &[u8]) -> Result<Inner, Drop> {
        let spi = u32::from_be_bytes(packet[..4].try_into().unwrap());
        let mut jobs = [self.gateway.admit(spi, true, PacketBuf::from_slice(packet))?];
        self.engine.open(&mut jobs);
        let [job] = jobs;
        self.gateway.deliver(self.now, job)
    }

    fn timeout(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.gateway.handle_timeout(self.now, &mut events);
        events
    }
}

fn outbound_spi(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[..4].try_into().unwrap())
}

#[test]
fn real_packets_open_and_seal_to_the_same_bytes() {
    let now = start();
    for capture in [&esp_packets::STRONGSWAN, &esp_packets::ANDROID, &esp_packets::APPLE] {
        let mut engine = EspEngine::new(Entropy::from_number(1));
        let mut sad = Sad::new(Settings::default());
        for (sa, other) in [(0, 1), (1, 0)].map(|(a, b)| (&capture.sas[a], &capture.sas[b])) {
            let keymat = Secret::new([sa.encryption, sa.authentication].concat());
            sad.install(
                now,
                SaParams {
                    inbound_spi: sa.spi,
                    outbound_spi: other.spi,
                    suite: SHA1,
                    inbound_key: keymat.clone(),
                    outbound_key: keymat,
                    udp_encap: true,
                    life_seconds: None,
                    life_kilobytes: None,
                    confirmed: true,
                    renewal: Renewal::AtTheEnd,
                },
            )
            .unwrap();
        }
        for packet in capture.packets {
            let spi = outbound_spi(packet.wire);
            let mut jobs = [sad.admit(spi, true, PacketBuf::from_slice(packet.wire)).unwrap()];
            engine.open(&mut jobs);
            let [job] = jobs;
            let seq = job.seq;
            let inner = sad.deliver(now, job).unwrap();
            assert_eq!(*inner.buf, *packet.payload);
            assert_eq!(inner.next_header, 17);

            let sa = capture.sas.iter().find(|sa| sa.spi == spi).unwrap();
            let keymat = [sa.encryption, sa.authentication].concat();
            let iv: [u8; MAX_IV] = packet.wire[8..24].try_into().unwrap();
            let mut job = SealJob {
                key: Arc::new(SealKey::new(SHA1, &keymat).unwrap()),
                spi,
                seq,
                next_header: 17,
                icv_len: 12,
                buf: inner.buf,
            };
            scalar::seal(&mut job, &iv);
            assert_eq!(*job.buf, *packet.wire);
        }
    }
}

#[test]
fn both_directions_and_their_counters() {
    for suite in [SHA1, SHA256, GCM] {
        let mut w = World::with(suite);
        let packet = w.sealed(b"payload");
        let inner = w.receive(&packet).unwrap();
        assert_eq!((&*inner.buf, inner.next_header, inner.newest), (&b"payload"[..], 17, true));
        assert_eq!(inner.spi, 0x0100_0001);
        let answer = w.answered(b"an answer");
        assert_eq!(outbound_spi(&answer), 0xc000_0001);
        assert_eq!(
            w.gateway.traffic(),
            Traffic { inbound_packets: 1, inbound_bytes: 7, outbound_packets: 1, outbound_bytes: 9 }
        );
        assert_eq!(w.gateway.sending_suite(), Some(suite));
    }
}

#[test]
fn what_admit_refuses() {
    let mut w = World::with(SHA1);
    let packet = w.sealed(b"payload");
    let admit =
        |spi, udp, bytes: &[u8]| w.gateway.admit(spi, udp, PacketBuf::from_slice(bytes)).map(|_| ()).err();
    assert_eq!(admit(0x0100_0001, true, &packet), None);
    assert_eq!(admit(0x0100_0002, true, &packet), Some(Drop::UnknownSpi));
    assert_eq!(admit(0x0100_0001, false, &packet), Some(Drop::WrongEncap));
    let mut zero = packet.to_vec();
    zero[4..8].fill(0);
    assert_eq!(admit(0x0100_0001, true, &zero), Some(Drop::Replayed));
    for len in (0..packet.len()).filter(|len| (len + 4) % 16 != 0 || *len < 52) {
        assert!(matches!(admit(0x0100_0001, true, &packet[..len]), Some(Drop::Malformed(_))), "{len}");
    }
}

#[test]
fn a_forged_packet_changes_nothing() {
    let mut w = World::with(SHA1);
    let first = w.sealed(b"first");
    w.receive(&first).unwrap();
    let heard = w.gateway.last_inbound();
    w.now += seconds(5);
    let mut forged = w.sealed(b"second").to_vec();
    forged[4..8].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
    assert_eq!(w.receive(&forged).unwrap_err(), Drop::BadIcv);
    assert_eq!(w.gateway.last_inbound(), heard);
    assert_eq!(w.gateway.traffic().inbound_packets, 1);
    let next = w.sealed(b"third");
    assert!(w.receive(&next).unwrap().newest, "the window has not moved");
}

#[test]
fn replays_are_dropped_before_and_after_the_engine() {
    let mut w = World::with(SHA1);
    let packet = w.sealed(b"once");
    // Both copies are admitted in one batch, before either is delivered.
    let spi = outbound_spi(&packet);
    let mut jobs = [&packet, &packet].map(|p| w.gateway.admit(spi, true, p.clone()).unwrap());
    w.engine.open(&mut jobs);
    let [first, second] = jobs;
    assert!(w.gateway.deliver(w.now, first).is_ok());
    assert_eq!(w.gateway.deliver(w.now, second).unwrap_err(), Drop::Replayed);
    assert_eq!(w.receive(&packet).unwrap_err(), Drop::Replayed);
}

#[test]
fn a_job_that_no_engine_has_seen_is_not_delivered() {
    let mut w = World::with(SHA1);
    let packet = w.sealed(b"x");
    let job = w.gateway.admit(outbound_spi(&packet), true, packet).unwrap();
    assert_eq!(w.gateway.deliver(w.now, job).unwrap_err(), Drop::BadIcv);
}

#[test]
fn only_the_highest_number_of_the_newest_pair_is_newest() {
    let mut w = World::with(SHA1);
    let [a, b, c] = [b"a", b"b", b"c"].map(|p| w.sealed(p));
    assert!(w.receive(&b).unwrap().newest);
    assert!(!w.receive(&a).unwrap().newest);
    w.install(SHA1, 2);
    // Installed, but the client has not used it yet.
    assert!(w.receive(&c).unwrap().newest);
    let old = {
        w.client.remove(0xc000_0002);
        let old = w.sealed(b"old");
        w.client.install(w.now, mirrored(SHA1, 2)).unwrap();
        old
    };
    let new = w.sealed(b"new");
    assert_eq!(outbound_spi(&new), 0x0100_0002);
    assert!(w.receive(&new).unwrap().newest);
    assert!(!w.receive(&old).unwrap().newest, "the old pair steers nothing once the new one is in use");
}

#[test]
fn a_new_pair_sends_once_it_is_confirmed() {
    let mut w = World::new();
    let unconfirmed = |n| SaParams { confirmed: false, ..pair(SHA1, n) };
    w.gateway.install(w.now, unconfirmed(1)).unwrap();
    assert!(!w.gateway.can_send());
    assert_eq!(w.gateway.seal(w.now, PacketBuf::from_slice(b"x"), 17).unwrap_err(), Drop::NoOutboundSa);
    w.gateway.confirm(0x0100_0001);
    assert_eq!(outbound_spi(&w.answered(b"x")), 0xc000_0001);

    // <-- QM2 of a rekey: receives at once, does not send yet
    w.gateway.install(w.now, unconfirmed(2)).unwrap();
    w.client.install(w.now, mirrored(SHA1, 1)).unwrap();
    assert_eq!(outbound_spi(&w.answered(b"x")), 0xc000_0001);
    w.client.install(w.now, mirrored(SHA1, 2)).unwrap();
    // --> its first packet, QM3 was lost
    let packet = w.sealed(b"new");
    w.receive(&packet).unwrap();
    assert_eq!(outbound_spi(&w.answered(b"x")), 0xc000_0002);
    // Both are open inbound.
    w.client.remove(0xc000_0002);
    let old = w.sealed(b"old");
    assert!(w.receive(&old).is_ok());
}

/// QM3 was lost, the client is idle, and deletes the old pair at the end of its life.
#[test]
fn the_last_pair_sends_even_if_its_third_message_was_lost() {
    let mut w = World::with(SHA1);
    let packet = w.sealed(b"authentic");
    w.receive(&packet).unwrap();
    w.gateway.install(w.now, SaParams { confirmed: false, ..pair(SHA1, 2) }).unwrap();
    w.client.install(w.now, mirrored(SHA1, 2)).unwrap();
    assert_eq!(outbound_spi(&w.answered(b"x")), 0xc000_0001);
    // --> Delete of the old pair
    w.gateway.retire(w.now, 0x0100_0001);
    assert!(w.gateway.can_send());
    assert_eq!(outbound_spi(&w.answered(b"x")), 0xc000_0002);
    w.now += CONFIRM_WITHIN + LINGER;
    assert!(matches!(w.timeout()[..], [Event::Expired { limit: Limit::Retired, .. }]));
    assert_eq!(outbound_spi(&w.answered(b"x")), 0xc000_0002);
    assert!(w.gateway.poll_timeout().unwrap() > w.now, "it lives to the end of its life");
}

#[test]
fn a_deleted_pair_sends_no_more_and_lingers_inbound() {
    let mut w = World::with(SHA1);
    let under_way = w.sealed(b"under way");
    w.install(SHA1, 2);
    let inbound = w.gateway.inbound_of(0xc000_0001).unwrap();
    w.gateway.retire(w.now, inbound);
    w.now += seconds(1);
    assert!(w.receive(&under_way).is_ok());
    // Even when the newer one goes, the deleted one is not sent with.
    w.gateway.remove(0x0100_0002);
    assert!(!w.gateway.can_send());
    w.now += LINGER;
    assert_eq!(
        w.timeout(),
        [Event::Expired { inbound_spi: 0x0100_0001, outbound_spi: 0xc000_0001, limit: Limit::Retired }]
    );
    assert!(w.gateway.is_empty());
    assert_eq!(w.gateway.poll_timeout(), None);
    assert_eq!(w.gateway.traffic().inbound_packets, 1, "the past is still counted");
}

#[test]
fn a_truncating_client_is_recognised_by_its_first_packet() {
    let mut w = World::with(SHA256);
    // The client is an old Android: it sends and expects 96 bits.
    let short = |w: &mut World, payload: &[u8]| {
        let packet = w.sealed(payload);
        packet[..packet.len() - 4].to_vec()
    };
    assert_eq!(w.answered(b"x").len(), SHA256.sealed_len(1), "128 bits as long as nothing is known");

    let mut forged = short(&mut w, b"forged");
    forged[30] ^= 1;
    assert_eq!(w.receive(&forged).unwrap_err(), Drop::BadIcv);
    assert_eq!(w.answered(b"x").len(), SHA256.sealed_len(1), "a forged packet decides nothing");

    let packet = short(&mut w, b"authentic");
    assert_eq!(&*w.receive(&packet).unwrap().buf, b"authentic");
    assert_eq!(w.answered(b"x").len(), SHA256.sealed_len(1) - 4);
    assert!(w.gateway.report().next().unwrap().truncated);
    let full = w.sealed(b"full");
    assert!(matches!(w.receive(&full), Err(Drop::Malformed(_))), "decided for the life of the SA");

    // The next pair is judged anew.
    w.install(SHA256, 2);
    let full = w.sealed(b"full");
    assert!(w.receive(&full).is_ok());
    assert!(!w.gateway.report().nth(1).unwrap().truncated);
    let packet = short(&mut w, b"short");
    assert!(w.receive(&packet).is_err());
}

#[test]
fn the_first_packet_of_a_batch_decides() {
    let mut w = World::with(SHA256);
    let full = w.sealed(b"one");
    let short = w.sealed(b"two");
    let short = PacketBuf::from_slice(&short[..short.len() - 4]);
    let spi = outbound_spi(&full);
    let mut jobs = [full, short].map(|p| w.gateway.admit(spi, true, p).unwrap());
    w.engine.open(&mut jobs);
    let [full, short] = jobs;
    assert!(w.gateway.deliver(w.now, full).is_ok());
    assert_eq!(w.gateway.deliver(w.now, short).unwrap_err(), Drop::BadIcv);
}

#[test]
fn truncation_can_be_forbidden() {
    let mut w = World::new();
    w.gateway = Sad::new(Settings { truncated_sha256: false, ..Settings::default() });
    w.install(SHA256, 1);
    let packet = w.sealed(b"x");
    assert!(matches!(w.receive(&packet[..packet.len() - 4]), Err(Drop::Malformed(_))));
    assert!(w.receive(&packet).is_ok());
}

#[test]
fn a_lifetime_asks_for_a_successor_and_then_ends() {
    let mut w = World::new();
    w.gateway.install(w.now, SaParams { life_seconds: Some(30), ..pair(SHA1, 1) }).unwrap();
    let begin = w.now;
    assert_eq!(w.gateway.poll_timeout(), Some(begin + seconds(28)));
    assert_eq!(w.timeout(), []);
    w.now = begin + seconds(28);
    let (inbound_spi, outbound_spi) = (0x0100_0001, 0xc000_0001);
    assert_eq!(w.timeout(), [Event::RekeySoon { inbound_spi, outbound_spi, limit: Limit::Seconds }]);
    assert_eq!(w.timeout(), [], "once");
    // The grace for the other side's clock.
    w.now = begin + seconds(60);
    assert_eq!(w.gateway.poll_timeout(), Some(w.now));
    assert_eq!(w.timeout(), [Event::Expired { inbound_spi, outbound_spi, limit: Limit::Seconds }]);
    assert_eq!(w.gateway.poll_timeout(), None);
}

#[test]
fn without_a_lifetime_a_pair_lives_for_eight_hours() {
    for life_seconds in [None, Some(0)] {
        let mut w = World::new();
        w.gateway.install(w.now, SaParams { life_seconds, ..pair(SHA1, 1) }).unwrap();
        assert_eq!(w.gateway.poll_timeout(), Some(w.now + seconds(28_800 - 30)));
    }
}

#[test]
fn a_pair_with_a_successor_asks_for_none() {
    let mut w = World::new();
    w.gateway.install(w.now, SaParams { life_seconds: Some(30), ..pair(SHA1, 1) }).unwrap();
    w.now += seconds(20);
    w.gateway.install(w.now, pair(SHA1, 2)).unwrap();
    w.now += seconds(9);
    assert_eq!(w.timeout(), []);
    w.now += seconds(31);
    assert!(matches!(w.timeout()[..], [Event::Expired { inbound_spi: 0x0100_0001, .. }]));
}

#[test]
fn a_rekey_that_fails_is_asked_for_again() {
    let mut w = World::new();
    w.gateway.install(w.now, SaParams { life_kilobytes: Some(1024), ..pair(SHA1, 1) }).unwrap();
    w.answered(&[0; 1 << 20]);
    let again =
        Event::RekeySoon { inbound_spi: 0x0100_0001, outbound_spi: 0xc000_0001, limit: Limit::Kilobytes };
    assert_eq!(w.timeout(), [again]);
    w.gateway.install(w.now, SaParams { confirmed: false, ..pair(SHA1, 2) }).unwrap();
    w.now += CONFIRM_WITHIN;
    assert_eq!(
        w.timeout(),
        [
            Event::Expired { inbound_spi: 0x0100_0002, outbound_spi: 0xc000_0002, limit: Limit::Unconfirmed },
            again,
        ]
    );
}

#[test]
fn a_volume_asks_for_a_successor_and_twice_the_volume_ends() {
    let mut w = World::new();
    w.gateway.install(w.now, SaParams { life_kilobytes: Some(1), ..pair(SHA1, 1) }).unwrap();
    let mut events = Vec::new();
    // 1 kB was raised to 1 MiB; a successor is wanted at 15/16 of it.
    for _ in 0..2 * 1024 {
        w.gateway.seal(w.now, PacketBuf::from_slice(&[0; 1024]), 17).unwrap();
        if w.gateway.poll_timeout() == Some(w.now) {
            events.push((w.gateway.traffic().outbound_bytes / 1024, w.timeout()));
        }
    }
    let (inbound_spi, outbound_spi) = (0x0100_0001, 0xc000_0001);
    assert_eq!(
        events,
        [
            (960, vec![Event::RekeySoon { inbound_spi, outbound_spi, limit: Limit::Kilobytes }]),
            (2048, vec![Event::Expired { inbound_spi, outbound_spi, limit: Limit::Kilobytes }]),
        ]
    );
}

#[test]
fn sequence_numbers_end() {
    let mut w = World::with(SHA1);
    w.gateway.set_sent(SEQUENCE_SOFT - 2);
    w.answered(b"x");
    assert_eq!(w.timeout(), []);
    w.answered(b"x");
    assert_eq!(w.gateway.poll_timeout(), Some(w.now));
    assert_eq!(w.timeout(), [Event::RekeyNow { inbound_spi: 0x0100_0001, outbound_spi: 0xc000_0001 }]);
    w.answered(b"x");
    assert_eq!(w.timeout(), [], "once");
    w.gateway.set_sent(u32::MAX - 1);
    let last = w.answered(b"x");
    assert_eq!(last[4..8], [0xff; 4]);
    assert_eq!(w.gateway.seal(w.now, PacketBuf::from_slice(b"x"), 17).unwrap_err(), Drop::NoOutboundSa);
    w.install(SHA1, 2);
    assert_eq!(outbound_spi(&w.answered(b"x")), 0xc000_0002);
}

#[test]
fn pairs_are_bounded_and_the_one_in_use_stays() {
    let mut w = World::new();
    for n in 1..=MAX_PAIRS as u32 {
        assert_eq!(w.gateway.install(w.now, SaParams { confirmed: n == 1, ..pair(SHA1, n) }), Ok(None));
    }
    assert_eq!(w.gateway.install(w.now, pair(SHA1, 1)), Err(InstallError::SpiInUse));
    let evicted = w.gateway.install(w.now, SaParams { confirmed: false, ..pair(SHA1, 9) }).unwrap();
    assert_eq!(evicted.map(|p| p.inbound_spi), Some(0x0100_0002));
    assert!(w.gateway.can_send());
    assert_eq!(w.gateway.spis().count(), MAX_PAIRS);
}

#[test]
fn keys_that_do_not_fit_change_nothing() {
    let mut w = World::new();
    let wrong = SaParams { outbound_key: Secret::new(vec![0; 5]), ..pair(SHA1, 1) };
    assert_eq!(w.gateway.install(w.now, wrong), Err(InstallError::KeyLength));
    assert!(w.gateway.is_empty());
}

#[test]
fn silence_is_measured_from_the_last_authentic_packet() {
    let mut w = World::with(SHA1);
    assert_eq!(w.gateway.silent_for(w.now), None);
    let packet = w.sealed(b"x");
    w.receive(&packet).unwrap();
    w.now += seconds(42);
    assert!(w.receive(&packet).is_err());
    assert_eq!(w.gateway.silent_for(w.now), Some(seconds(42)));
}

#[test]
fn padding_beyond_the_packet_is_malformed_though_authentic() {
    let mut w = World::with(SHA1);
    let packet = w.sealed(b"0123456789012345678901234567");
    let spi = outbound_spi(&packet);
    let mut jobs = [w.gateway.admit(spi, true, packet).unwrap()];
    w.engine.open(&mut jobs);
    let [mut job] = jobs;
    let pad_len = job.buf.len() - 2;
    job.buf[pad_len] = 200;
    assert!(matches!(w.gateway.deliver(w.now, job), Err(Drop::Malformed(_))));
}

#[test]
fn an_idle_peer_is_small() {
    let heap = size_of::<pair::SaPair>() + size_of::<SealKey>() + size_of::<crate::crypto::engine::OpenKey>();
    assert!(size_of::<Sad>() + heap + 64 <= 3072, "{} + {heap}", size_of::<Sad>());
}
