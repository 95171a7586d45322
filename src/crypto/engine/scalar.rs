//! One packet at a time, in safe code: the reference, and what runs where the CPU has no AES instructions or the suite no
//! kernel.

use super::key::{GcmKey, OpenCipher, SealCipher};
use super::{MAX_IV, OpenJob, SealJob, lanes};
use crate::crypto::cbc::{DecryptKey, EncryptKey};
use crate::crypto::hmac::HmacKey;
use crate::crypto::suite::{ESP_HEADER_LEN, ESP_TRAILER_LEN, EspSuite};
use crate::packet::{Drop, PacketBuf};
use ring::aead::{Aad, Nonce};
use subtle::ConstantTimeEq;

/// The sealing failed for a reason that packets cannot have; the caller empties the buffer.
struct Unsealed;

/// Seals one packet with the IV in the front of `iv`.
///
/// The IV must be unpredictable for CBC and unique under the key for GCM: [`EspEngine`](super::EspEngine) sees to it.
pub fn seal(job: &mut SealJob, iv: &[u8; MAX_IV]) {
    frame(job, iv);
    if !lanes::seal_alone(job) {
        seal_framed(job);
    }
}

/// Opens one packet. Lengths that cannot be are [`Drop::BadIcv`] here: whoever made the job has looked at them before.
pub fn open(job: &mut OpenJob) {
    if !lanes::open_alone(job) {
        open_portable(job);
    }
}

/// Puts trailer, IV and header around the payload.
pub(super) fn frame(job: &mut SealJob, iv: &[u8; MAX_IV]) {
    let suite = job.key.suite();
    pad(&mut job.buf, suite, job.next_header);
    let mut front = [0; ESP_HEADER_LEN + MAX_IV];
    front[..ESP_HEADER_LEN].copy_from_slice(&header(job.spi, job.seq));
    front[ESP_HEADER_LEN..].copy_from_slice(iv);
    job.buf.put_front(&front[..ESP_HEADER_LEN + suite.cipher().iv_len()]);
}

/// Encrypts and authenticates a framed packet, unless its key is for the lanes.
pub(super) fn seal_framed(job: &mut SealJob) {
    let iv_len = job.key.suite().cipher().iv_len();
    let sealed = match &job.key.cipher {
        SealCipher::Lanes(_) => return,
        SealCipher::Cbc(keys) => seal_cbc(&mut job.buf, &keys.0, &keys.1, iv_len, job.icv_len.into()),
        SealCipher::Gcm(key) => seal_gcm(&mut job.buf, key),
    };
    if sealed.is_err() {
        job.buf.clear();
    }
}

/// Verifies and decrypts a packet, unless its key is for the lanes.
pub(super) fn open_portable(job: &mut OpenJob) {
    let iv_len = job.key.suite().cipher().iv_len();
    let icv_len = usize::from(job.icv_len);
    job.result = match &job.key.cipher {
        OpenCipher::Lanes(_) => return,
        OpenCipher::Cbc(keys) => open_cbc(&mut job.buf, &keys.0, &keys.1, iv_len, icv_len),
        OpenCipher::Gcm(key) => open_gcm(&mut job.buf, key),
    };
}

fn header(spi: u32, seq: u32) -> [u8; ESP_HEADER_LEN] {
    (u64::from(spi) << 32 | u64::from(seq)).to_be_bytes()
}

/// Appends padding 1, 2, 3, .., its length and the next header (RFC 4303 section 2.4).
fn pad(buf: &mut PacketBuf, suite: EspSuite, next_header: u8) {
    let block = suite.cipher().block_len();
    let unpadded = buf.len() + ESP_TRAILER_LEN;
    let pad_len = unpadded.next_multiple_of(block) - unpadded;
    let trailer = buf.open_back(pad_len + ESP_TRAILER_LEN);
    let (padding, last) = trailer.split_at_mut(pad_len);
    padding.copy_from_slice(&COUNTING[..pad_len]);
    // A block has at most 16 bytes.
    last.copy_from_slice(&[pad_len as u8, next_header]);
}

/// The longest padding: one less than a block.
const COUNTING: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn seal_cbc(
    buf: &mut PacketBuf,
    cipher: &EncryptKey,
    mac: &HmacKey,
    iv_len: usize,
    icv_len: usize,
) -> Result<(), Unsealed> {
    let (front, plain) = buf.split_at_mut(ESP_HEADER_LEN + iv_len);
    cipher.encrypt(&front[ESP_HEADER_LEN..], plain).map_err(|_| Unsealed)?;
    let (icv, len) = mac.icv(buf);
    buf.put_back(&icv[..icv_len.min(len)]);
    Ok(())
}

fn open_cbc(
    buf: &mut PacketBuf,
    cipher: &DecryptKey,
    mac: &HmacKey,
    iv_len: usize,
    icv_len: usize,
) -> Result<(), Drop> {
    let authenticated = buf.len().checked_sub(icv_len).ok_or(Drop::BadIcv)?;
    let (covered, received) = buf.split_at(authenticated);
    let (icv, len) = mac.icv(covered);
    let expected = icv[..len].get(..icv_len).ok_or(Drop::BadIcv)?;
    if icv_len == 0 || !bool::from(expected.ct_eq(received)) {
        return Err(Drop::BadIcv);
    }
    buf.truncate(authenticated);
    let front = ESP_HEADER_LEN + iv_len;
    let (iv, data) = buf.split_at_mut_checked(front).ok_or(Drop::BadIcv)?;
    cipher.decrypt(&iv[ESP_HEADER_LEN..], data).map_err(|_| Drop::BadIcv)?;
    buf.pull_front(front).ok_or(Drop::BadIcv)?;
    Ok(())
}

/// Bytes before a GCM ciphertext: header and IV (RFC 4106 section 3).
const GCM_FRONT: usize = ESP_HEADER_LEN + 8;
const GCM_TAG: usize = 16;

/// Salt, then the packet's IV (RFC 4106 section 4).
fn nonce(key: &GcmKey, iv: &[u8]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&key.salt);
    nonce[4..].copy_from_slice(iv);
    Nonce::assume_unique_for_key(nonce)
}

fn seal_gcm(buf: &mut PacketBuf, key: &GcmKey) -> Result<(), Unsealed> {
    let (front, plain) = buf.split_at_mut(GCM_FRONT);
    let (aad, iv) = front.split_at(ESP_HEADER_LEN);
    let tag =
        key.key.seal_in_place_separate_tag(nonce(key, iv), Aad::from(aad), plain).map_err(|_| Unsealed)?;
    buf.put_back(tag.as_ref());
    Ok(())
}

fn open_gcm(buf: &mut PacketBuf, key: &GcmKey) -> Result<(), Drop> {
    let (front, sealed) = buf.split_at_mut_checked(GCM_FRONT).ok_or(Drop::BadIcv)?;
    let (aad, iv) = front.split_at(ESP_HEADER_LEN);
    let plain = key.key.open_in_place(nonce(key, iv), Aad::from(aad), sealed).map_err(|_| Drop::BadIcv)?;
    let len = plain.len();
    debug_assert_eq!(len + GCM_TAG + GCM_FRONT, buf.len());
    buf.pull_front(GCM_FRONT).ok_or(Drop::BadIcv)?;
    buf.truncate(len);
    Ok(())
}
