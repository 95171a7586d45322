//! CBC in place: for IKE messages ([`encrypt`], [`decrypt`], one key schedule per message) and, with the schedule kept,
//! for ESP. Padding is the protocol's business.

use super::suite::IkeCipher;
use ::cbc::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
use ::cbc::{Decryptor, Encryptor};
use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};
use des::TdesEde3;

/// A key, IV or message whose length does not fit the cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("length does not fit the cipher")]
pub struct LengthError;

/// Encrypts `data` in place. The IV of a following message is the last block of the result.
///
/// # Errors
/// If `key`, `iv` or `data` (a multiple of the block) do not fit the cipher; `data` is unchanged then.
pub fn encrypt(cipher: IkeCipher, key: &[u8], iv: &[u8], data: &mut [u8]) -> Result<(), LengthError> {
    EncryptKey::new(cipher, key)?.encrypt(iv, data)
}

/// Decrypts `data` in place. The IV of a following message is the last block of what `data` was.
///
/// # Errors
/// If `key`, `iv` or `data` (a multiple of the block) do not fit the cipher; `data` is unchanged then.
pub fn decrypt(cipher: IkeCipher, key: &[u8], iv: &[u8], data: &mut [u8]) -> Result<(), LengthError> {
    DecryptKey::new(cipher, key)?.decrypt(iv, data)
}

/// An expanded encryption key.
pub enum EncryptKey {
    /// Triple DES.
    TripleDes(TdesEde3),
    /// AES, 128 bits.
    Aes128(Aes128Enc),
    /// AES, 192 bits.
    Aes192(Aes192Enc),
    /// AES, 256 bits.
    Aes256(Aes256Enc),
}

/// An expanded decryption key.
pub enum DecryptKey {
    /// Triple DES.
    TripleDes(TdesEde3),
    /// AES, 128 bits.
    Aes128(Aes128Dec),
    /// AES, 192 bits.
    Aes192(Aes192Dec),
    /// AES, 256 bits.
    Aes256(Aes256Dec),
}

fn expand<C: KeyInit>(key: &[u8]) -> Result<C, LengthError> {
    C::new_from_slice(key).map_err(|_| LengthError)
}

impl EncryptKey {
    /// Expands a key.
    ///
    /// # Errors
    /// If its length does not fit the cipher.
    pub fn new(cipher: IkeCipher, key: &[u8]) -> Result<Self, LengthError> {
        Ok(match cipher {
            IkeCipher::TripleDes => Self::TripleDes(expand(key)?),
            IkeCipher::Aes128 => Self::Aes128(expand(key)?),
            IkeCipher::Aes192 => Self::Aes192(expand(key)?),
            IkeCipher::Aes256 => Self::Aes256(expand(key)?),
        })
    }

    /// Encrypts whole blocks in place.
    ///
    /// # Errors
    /// If `iv` or `data` do not fit the block; `data` is unchanged then.
    pub fn encrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), LengthError> {
        fn run<C: BlockCipherEncrypt>(cipher: &C, iv: &[u8], data: &mut [u8]) -> Result<(), LengthError> {
            let iv = iv.try_into().map_err(|_| LengthError)?;
            let (blocks, rest) = Array::slice_as_chunks_mut(data);
            if !rest.is_empty() {
                return Err(LengthError);
            }
            Encryptor::inner_iv_init(cipher, iv).encrypt_blocks(blocks);
            Ok(())
        }
        match self {
            Self::TripleDes(c) => run(c, iv, data),
            Self::Aes128(c) => run(c, iv, data),
            Self::Aes192(c) => run(c, iv, data),
            Self::Aes256(c) => run(c, iv, data),
        }
    }
}

impl DecryptKey {
    /// Expands a key.
    ///
    /// # Errors
    /// If its length does not fit the cipher.
    pub fn new(cipher: IkeCipher, key: &[u8]) -> Result<Self, LengthError> {
        Ok(match cipher {
            IkeCipher::TripleDes => Self::TripleDes(expand(key)?),
            IkeCipher::Aes128 => Self::Aes128(expand(key)?),
            IkeCipher::Aes192 => Self::Aes192(expand(key)?),
            IkeCipher::Aes256 => Self::Aes256(expand(key)?),
        })
    }

    /// Decrypts whole blocks in place.
    ///
    /// # Errors
    /// If `iv` or `data` do not fit the block; `data` is unchanged then.
    pub fn decrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), LengthError> {
        fn run<C: BlockCipherDecrypt>(cipher: &C, iv: &[u8], data: &mut [u8]) -> Result<(), LengthError> {
            let iv = iv.try_into().map_err(|_| LengthError)?;
            let (blocks, rest) = Array::slice_as_chunks_mut(data);
            if !rest.is_empty() {
                return Err(LengthError);
            }
            Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(blocks);
            Ok(())
        }
        match self {
            Self::TripleDes(c) => run(c, iv, data),
            Self::Aes128(c) => run(c, iv, data),
            Self::Aes192(c) => run(c, iv, data),
            Self::Aes256(c) => run(c, iv, data),
        }
    }
}

impl std::fmt::Debug for EncryptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptKey")
    }
}

impl std::fmt::Debug for DecryptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DecryptKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn nist_sp_800_38a_vectors() {
        let iv = hex!("000102030405060708090a0b0c0d0e0f");
        let plain = hex!("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
        let cases: [(IkeCipher, &[u8], [u8; 32]); 3] = [
            (
                IkeCipher::Aes128,
                &hex!("2b7e151628aed2a6abf7158809cf4f3c"),
                hex!("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
            ),
            (
                IkeCipher::Aes192,
                &hex!("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"),
                hex!("4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"),
            ),
            (
                IkeCipher::Aes256,
                &hex!("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"),
                hex!("f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"),
            ),
        ];
        for (cipher, key, sealed) in cases {
            let mut data = plain;
            encrypt(cipher, key, &iv, &mut data).unwrap();
            assert_eq!(data, sealed, "{cipher}");
            decrypt(cipher, key, &iv, &mut data).unwrap();
            assert_eq!(data, plain, "{cipher}");
        }
    }

    #[test]
    fn triple_des_is_des_when_its_keys_are_equal() {
        // FIPS 81 appendix C, CBC mode: "Now is the time for all " under one DES key.
        let key = hex!("0123456789abcdef").repeat(3);
        let mut data = *b"Now is the time for all ";
        encrypt(IkeCipher::TripleDes, &key, &hex!("1234567890abcdef"), &mut data).unwrap();
        assert_eq!(data, hex!("e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6"));
        decrypt(IkeCipher::TripleDes, &key, &hex!("1234567890abcdef"), &mut data).unwrap();
        assert_eq!(&data, b"Now is the time for all ");
    }

    #[test]
    fn lengths_that_do_not_fit_change_nothing() {
        let mut data = [7; 31];
        assert_eq!(decrypt(IkeCipher::Aes128, &[0; 16], &[0; 16], &mut data), Err(LengthError));
        assert_eq!(decrypt(IkeCipher::Aes128, &[0; 16], &[0; 8], &mut data[..16]), Err(LengthError));
        assert_eq!(encrypt(IkeCipher::Aes256, &[0; 16], &[0; 16], &mut data[..16]), Err(LengthError));
        assert_eq!(data, [7; 31]);
        assert_eq!(encrypt(IkeCipher::Aes128, &[0; 16], &[0; 16], &mut []), Ok(()));
    }
}
