use super::*;
use crate::crypto::suite::{EspAuth, EspCipher, EspSuite};
use proptest::prelude::*;

/// Every suite that there is.
fn suites() -> Vec<EspSuite> {
    EspCipher::ALL
        .iter()
        .flat_map(|&cipher| EspAuth::ALL.iter().filter_map(move |&auth| EspSuite::new(cipher, auth)))
        .collect()
}

fn keymat(suite: EspSuite, seed: u8) -> Vec<u8> {
    (0..suite.key_len()).map(|i| seed.wrapping_mul(31).wrapping_add(i as u8)).collect()
}

fn seal_job(suite: EspSuite, seed: u8, seq: u32, payload: &[u8]) -> SealJob {
    SealJob {
        key: Arc::new(SealKey::new(suite, &keymat(suite, seed)).unwrap()),
        spi: 0x0100_0000 | u32::from(seed),
        seq,
        next_header: 17,
        icv_len: suite.auth().icv_len() as u8,
        buf: PacketBuf::from_slice(payload),
    }
}

/// What the receiver of a sealed packet makes of it.
fn open_job(suite: EspSuite, seed: u8, icv_len: u8, wire: &[u8]) -> OpenJob {
    OpenJob {
        key: Arc::new(OpenKey::new(suite, &keymat(suite, seed)).unwrap()),
        spi: 0x0100_0000 | u32::from(seed),
        seq: 1,
        icv_len,
        buf: PacketBuf::from_slice(wire),
        result: Err(Drop::BadIcv),
    }
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7) as u8).collect()
}

#[test]
fn every_suite_opens_what_it_sealed() {
    let mut engine = EspEngine::new(Entropy::from_number(1));
    for suite in suites() {
        for len in (0..70).chain([1379, 1380, 1400, 9000]) {
            let plain = payload(len);
            let mut jobs = [seal_job(suite, 7, 0x0102_0304, &plain)];
            engine.seal(&mut jobs);
            let wire = &jobs[0].buf;
            assert_eq!(wire.len(), suite.sealed_len(len), "{suite} {len}");
            assert_eq!(wire[..8], [1, 0, 0, 7, 1, 2, 3, 4]);
            let mut jobs = [open_job(suite, 7, suite.auth().icv_len() as u8, wire)];
            engine.open(&mut jobs);
            assert_eq!(jobs[0].result, Ok(()), "{suite} {len}");
            let opened = &jobs[0].buf;
            assert_eq!(opened[..len], plain);
            let pad = opened[opened.len() - 2];
            assert_eq!(opened.len(), len + usize::from(pad) + 2);
            let counting: Vec<u8> = (1..=pad).collect();
            assert_eq!(opened[len..opened.len() - 2], counting, "monotonic padding");
            assert_eq!(opened[opened.len() - 1], 17);
        }
    }
}

#[test]
fn no_byte_of_a_packet_can_change() {
    let mut engine = EspEngine::new(Entropy::from_number(2));
    for suite in suites() {
        let icv_len = suite.auth().icv_len() as u8;
        let mut jobs = [seal_job(suite, 1, 1, &payload(40))];
        engine.seal(&mut jobs);
        let wire = jobs[0].buf.to_vec();
        for i in 0..wire.len() {
            let mut forged = wire.clone();
            forged[i] ^= 1 << (i % 8);
            let mut jobs = [open_job(suite, 1, icv_len, &forged)];
            engine.open(&mut jobs);
            assert_eq!(jobs[0].result, Err(Drop::BadIcv), "{suite}, byte {i}");
        }
        for len in 0..wire.len() {
            let mut jobs = [open_job(suite, 1, icv_len, &wire[..len])];
            engine.open(&mut jobs);
            assert_eq!(jobs[0].result, Err(Drop::BadIcv), "{suite}, cut to {len}");
        }
        let mut jobs = [open_job(suite, 2, icv_len, &wire)];
        engine.open(&mut jobs);
        assert_eq!(jobs[0].result, Err(Drop::BadIcv), "{suite}, another key");
    }
}

#[test]
fn an_icv_of_length_zero_or_beyond_the_hash_authenticates_nothing() {
    let suite = EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha256_128);
    let mut engine = EspEngine::new(Entropy::from_number(3));
    let mut jobs = [seal_job(suite, 1, 1, b"hello")];
    engine.seal(&mut jobs);
    let wire = jobs[0].buf.to_vec();
    for icv_len in [0, 33, 255] {
        let mut jobs = [open_job(suite, 1, icv_len, &wire[..wire.len() - 16])];
        engine.open(&mut jobs);
        assert_eq!(jobs[0].result, Err(Drop::BadIcv));
    }
}

#[test]
fn cbc_ivs_are_fresh_and_gcm_ivs_are_the_sequence_number() {
    let mut engine = EspEngine::new(Entropy::from_number(4));
    for suite in suites() {
        let mut jobs: Vec<_> = (1..=50).map(|seq| seal_job(suite, 1, seq, b"same")).collect();
        engine.seal(&mut jobs);
        let iv_len = suite.cipher().iv_len();
        let mut ivs: Vec<_> = jobs.iter().map(|j| j.buf[8..8 + iv_len].to_vec()).collect();
        if suite.cipher().is_aead() {
            assert_eq!(ivs[49], [0, 0, 0, 0, 0, 0, 0, 50]);
        } else {
            assert_ne!(ivs[1][iv_len - 4..], [0, 0, 0, 2]);
        }
        ivs.sort();
        ivs.dedup();
        assert_eq!(ivs.len(), 50, "{suite}");
    }
}

#[test]
fn gcm_is_what_an_independent_library_computes() {
    // RFC 4106: nonce = salt | IV, additional data = SPI | sequence number.
    use aws_lc_rs::aead;
    for (cipher, algorithm, key_len) in
        [(EspCipher::Aes128Gcm16, &aead::AES_128_GCM, 16), (EspCipher::Aes256Gcm16, &aead::AES_256_GCM, 32)]
    {
        let suite = EspSuite::new(cipher, EspAuth::Aead).unwrap();
        let mut jobs = [seal_job(suite, 9, 77, b"0123456789")];
        EspEngine::new(Entropy::from_number(5)).seal(&mut jobs);
        let wire = jobs[0].buf.to_vec();
        let key = keymat(suite, 9);
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&key[key_len..]);
        nonce[4..].copy_from_slice(&wire[8..16]);
        let oracle = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, &key[..key_len]).unwrap());
        let mut sealed = wire[16..].to_vec();
        let plain = oracle
            .open_in_place(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(&wire[..8]),
                &mut sealed,
            )
            .unwrap();
        assert_eq!(plain, b"0123456789\x00\x11");
    }
}

#[test]
fn keys_of_the_wrong_length_are_refused() {
    for suite in suites() {
        let key = keymat(suite, 1);
        assert!(SealKey::new(suite, &key[1..]).is_err());
        assert!(OpenKey::new(suite, &[&key[..], &[0]].concat()).is_err());
        assert!(SealKey::new(suite, &[]).is_err());
    }
}

#[test]
fn keys_are_small_and_say_nothing() {
    let suite = EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96);
    let key = SealKey::new(suite, &keymat(suite, 1)).unwrap();
    assert_eq!(format!("{key:?}"), "SealKey(AES-256-CBC/HMAC-SHA1-96)");
    assert!(size_of::<SealKey>() + size_of::<OpenKey>() <= 768);
}

/// A batch for both engines: what is sealed and what a receiver would make of it.
struct Batch {
    /// Suite, seed of the key, length of the payload.
    packets: Vec<(EspSuite, u8, usize)>,
    /// Which ones arrive with a flipped bit, and where.
    broken: Vec<Option<usize>>,
}

impl Batch {
    fn seal(&self, cpu: Cpu) -> Vec<Vec<u8>> {
        let mut engine = EspEngine::for_cpu(Entropy::from_number(7), cpu);
        let mut jobs: Vec<_> = (1..)
            .zip(&self.packets)
            .map(|(seq, &(suite, seed, len))| SealJob {
                key: Arc::new(SealKey::for_cpu(cpu, suite, &keymat(suite, seed)).unwrap()),
                ..seal_job(suite, seed, seq, &payload(len))
            })
            .collect();
        engine.seal(&mut jobs);
        jobs.iter().map(|job| job.buf.to_vec()).collect()
    }

    fn open(&self, cpu: Cpu, wires: &[Vec<u8>]) -> Vec<(Result<(), Drop>, Vec<u8>)> {
        let mut engine = EspEngine::for_cpu(Entropy::from_number(8), cpu);
        let mut jobs: Vec<_> = self
            .packets
            .iter()
            .zip(wires)
            .zip(&self.broken)
            .map(|((&(suite, seed, _), wire), broken)| {
                let mut job = OpenJob {
                    key: Arc::new(OpenKey::for_cpu(cpu, suite, &keymat(suite, seed)).unwrap()),
                    ..open_job(suite, seed, suite.auth().icv_len() as u8, wire)
                };
                if let Some(at) = broken {
                    job.buf[at % wire.len()] ^= 1;
                }
                job
            })
            .collect();
        engine.open(&mut jobs);
        jobs.iter()
            .map(|job| (job.result, if job.result.is_ok() { job.buf.to_vec() } else { Vec::new() }))
            .collect()
    }

    /// Every kernel of this machine against RustCrypto, byte by byte and verdict by verdict.
    fn check(&self) {
        let wires = self.seal(Cpu::NONE);
        let opened = self.open(Cpu::NONE, &wires);
        for ((result, _), broken) in opened.iter().zip(&self.broken) {
            assert_eq!(result.is_err(), broken.is_some());
        }
        for cpu in Cpu::every() {
            for (i, (ours, theirs)) in self.seal(cpu).iter().zip(&wires).enumerate() {
                assert_eq!(ours, theirs, "sealing {:?} (number {i}) with {cpu:?}", self.packets[i]);
            }
            for (i, (ours, theirs)) in self.open(cpu, &wires).iter().zip(&opened).enumerate() {
                assert_eq!(ours, theirs, "opening {:?} (number {i}) with {cpu:?}", self.packets[i]);
            }
        }
    }
}

#[test]
fn every_lane_count_agrees_with_the_reference() {
    for suite in suites().into_iter().filter(|suite| suite.cipher() != EspCipher::TripleDesCbc) {
        for lanes in (0..=20).chain([31, 32, 33, 48, 65]) {
            let packets: Vec<_> = (0..lanes).map(|i| (suite, i as u8, 130)).collect();
            let broken = (0..lanes).map(|i| (i % 5 == 3).then_some(i * 7)).collect();
            Batch { packets, broken }.check();
        }
    }
}

#[test]
fn every_length_agrees_with_the_reference() {
    for auth in [EspAuth::HmacSha1_96, EspAuth::HmacSha256_128] {
        let suite = EspSuite::of(EspCipher::Aes256Cbc, auth);
        for len in (0..150).chain([1379, 1380, 1400, 9000]) {
            let even = vec![(suite, 1, len); 3];
            Batch { packets: even, broken: vec![None; 3] }.check();
        }
        for lanes in [1, 2, 3, 4, 5, 8, 20] {
            for step in [1, 15, 16, 48, 64, 80] {
                let uneven: Vec<_> = (0..lanes).map(|i| (suite, i as u8, step * i)).collect();
                Batch { packets: uneven, broken: vec![None; lanes] }.check();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_mixture_agrees_with_the_reference(
        packets in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<u8>(), prop_oneof![0..100usize, 0..1500usize, Just(576usize)]),
            0..90,
        ),
        broken in prop::collection::vec(prop::option::weighted(0.2, any::<prop::sample::Index>()), 90),
    ) {
        let suites = suites();
        let packets: Vec<_> = packets.into_iter().map(|(s, seed, len)| (*s.get(&suites), seed, len)).collect();
        let broken = broken.iter().take(packets.len()).map(|at| at.map(|at| at.index(1 << 16))).collect();
        Batch { packets, broken }.check();
    }
}

proptest! {
    /// One slice of any mixture gives what its jobs give one by one.
    #[test]
    fn a_slice_mixes_suites(
        mixture in prop::collection::vec((any::<prop::sample::Index>(), 0..200usize, 0..5u8), 0..40),
        broken in any::<u64>(),
    ) {
        let suites = suites();
        let mut engine = EspEngine::new(Entropy::from_number(6));
        let mut jobs: Vec<_> = mixture
            .iter()
            .enumerate()
            .map(|(i, (suite, len, seed))| seal_job(*suite.get(&suites), *seed, i as u32 + 1, &payload(*len)))
            .collect();
        engine.seal(&mut jobs);
        let mut opens: Vec<_> = mixture
            .iter()
            .zip(&jobs)
            .enumerate()
            .map(|(i, ((suite, _, seed), job))| {
                let suite = *suite.get(&suites);
                let mut open = open_job(suite, *seed, suite.auth().icv_len() as u8, &job.buf);
                if broken >> (i % 64) & 1 == 1 {
                    open.buf[9] ^= 1;
                }
                open
            })
            .collect();
        engine.open(&mut opens);
        for (i, ((_, len, _), open)) in mixture.iter().zip(&opens).enumerate() {
            if broken >> (i % 64) & 1 == 1 {
                prop_assert_eq!(open.result, Err(Drop::BadIcv));
            } else {
                prop_assert_eq!(open.result, Ok(()));
                prop_assert_eq!(&open.buf[..*len], &payload(*len)[..]);
            }
        }
    }
}
