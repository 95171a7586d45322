//! What an account holds, what a client proves, and the comparison of the two.

use crate::crypto::Secret;
use crate::crypto::mschap;
use crate::crypto::prf;
use crate::crypto::suite::HashAlg;
use smol_str::SmolStr;

/// What an account holds of its user's password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// The password itself (UTF-8): enough for every protocol.
    Password(Secret),
    /// MD4 of the password in UTF-16: 16 bytes. Enough for MS-CHAPv2 and PAP, not for CHAP-MD5.
    NtHash(Secret),
}

/// What a client sent to prove that it knows the password. `Debug` shows the protocol alone: whoever has challenge and
/// response can try passwords at leisure.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// The password itself.
    Pap {
        /// As received.
        password: Secret,
    },
    /// CHAP-MD5 or EAP-MD5 (RFC 1994 section 4.1): MD5 of identifier, password and challenge.
    Chap {
        /// Identifier of the packet.
        id: u8,
        /// What we asked.
        challenge: Vec<u8>,
        /// What the client answered.
        response: [u8; 16],
    },
    /// MS-CHAPv2 (RFC 2759), bare or inside EAP.
    MsChapV2 {
        /// The name as the client sent it: `domain\` is cut off for the hash, `@hub` stays in it.
        name: Vec<u8>,
        /// What we asked.
        authenticator_challenge: [u8; 16],
        /// What the client added.
        peer_challenge: [u8; 16],
        /// What the client answered.
        nt_response: [u8; 24],
    },
}

impl Proof {
    /// Name of the protocol, for logs.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        match self {
            Self::Pap { .. } => "PAP",
            Self::Chap { .. } => "CHAP-MD5",
            Self::MsChapV2 { .. } => "MS-CHAPv2",
        }
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.protocol())
    }
}

/// A user of a hub who has proved to be that user. Only [`verify`] makes one, so whatever demands this type cannot be
/// had without authentication.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Authenticated {
    user: SmolStr,
    hub: SmolStr,
}

impl Authenticated {
    /// The user in the account's own spelling.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The hub in its own spelling.
    #[must_use]
    pub fn hub(&self) -> &str {
        &self.hub
    }
}

impl std::fmt::Display for Authenticated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.hub)
    }
}

/// An account as far as a proof is concerned: names in their own spelling and the credential.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The user.
    pub user: &'a str,
    /// Its hub.
    pub hub: &'a str,
    /// What it holds.
    pub credential: &'a Credential,
}

/// A proof that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The token.
    pub who: Authenticated,
    /// For MS-CHAPv2, `S=` and 40 hex digits: our own proof, which the client verifies.
    pub ms_success: Option<String>,
}

/// A proof that does not hold. The client learns the same in all cases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Rejected {
    /// The password is another one.
    #[error("wrong password")]
    WrongPassword,
    /// There is no such user in that hub.
    #[error("unknown user")]
    UnknownUser,
    /// CHAP-MD5 needs the password and the account has its NT hash only.
    #[error("the account has an NT hash only, which CHAP-MD5 cannot use")]
    NeedsPassword,
}

/// Compares a proof with an account; `None` is a user who does not exist, for whom the same work is done as for one who
/// does, so that time tells nothing.
///
/// # Errors
/// Why the proof does not hold.
pub fn verify(account: Option<Account<'_>>, proof: &Proof) -> Result<Accepted, Rejected> {
    let Some(account) = account else {
        let nobody = Credential::NtHash(Secret::new(vec![0; mschap::NT_HASH_LEN]));
        let _ = check(&nobody, proof);
        return Err(Rejected::UnknownUser);
    };
    let ms_success = check(account.credential, proof)?;
    let who = Authenticated { user: account.user.into(), hub: account.hub.into() };
    Ok(Accepted { who, ms_success })
}

fn check(credential: &Credential, proof: &Proof) -> Result<Option<String>, Rejected> {
    let (holds, ms_success) = match proof {
        Proof::Pap { password } => {
            let holds = match credential {
                Credential::Password(own) => own.ct_eq(password),
                Credential::NtHash(own) => {
                    std::str::from_utf8(password).is_ok_and(|text| own.ct_eq(&*mschap::nt_hash(text)))
                }
            };
            (holds, None)
        }
        Proof::Chap { id, challenge, response } => {
            let Credential::Password(password) = credential else { return Err(Rejected::NeedsPassword) };
            let expected = prf::hash(HashAlg::Md5, &[&[*id], password, challenge]);
            (expected.ct_eq(response), None)
        }
        Proof::MsChapV2 { name, authenticator_challenge, peer_challenge, nt_response } => {
            let hash = nt_hash(credential).ok_or(Rejected::WrongPassword)?;
            let holds =
                mschap::verify_nt_response(authenticator_challenge, peer_challenge, name, &hash, nt_response);
            let success = mschap::authenticator_response(
                &hash,
                nt_response,
                peer_challenge,
                authenticator_challenge,
                name,
            );
            (holds, Some(success))
        }
    };
    if holds { Ok(ms_success) } else { Err(Rejected::WrongPassword) }
}

/// The NT hash of a credential; `None` if it is not UTF-8, or not a hash of 16 bytes.
fn nt_hash(credential: &Credential) -> Option<zeroize::Zeroizing<[u8; mschap::NT_HASH_LEN]>> {
    match credential {
        Credential::Password(password) => std::str::from_utf8(password).ok().map(mschap::nt_hash),
        Credential::NtHash(hash) => <[u8; mschap::NT_HASH_LEN]>::try_from(&**hash).ok().map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    fn password(text: &str) -> Credential {
        Credential::Password(Secret::from(text))
    }

    fn hash_of(text: &str) -> Credential {
        Credential::NtHash(Secret::new(mschap::nt_hash(text).to_vec()))
    }

    fn verify_as(credential: &Credential, proof: &Proof) -> Result<Option<String>, Rejected> {
        verify(Some(Account { user: "User", hub: "HUB1", credential }), proof)
            .map(|accepted| accepted.ms_success)
    }

    /// RFC 2759 section 9.2.
    fn ms_chap_v2(name: &[u8]) -> Proof {
        Proof::MsChapV2 {
            name: name.to_vec(),
            authenticator_challenge: hex!("5b5d7c7d7b3f2f3e3c2c602132262628"),
            peer_challenge: hex!("21402324255e262a28295f2b3a337c7e"),
            nt_response: hex!("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"),
        }
    }

    #[test]
    fn ms_chap_v2_holds_against_password_and_hash() {
        let success = Ok(Some("S=407A5589115FD0D6209F510FE9C04566932CDA56".to_owned()));
        assert_eq!(verify_as(&password("clientPass"), &ms_chap_v2(b"User")), success);
        assert_eq!(verify_as(&hash_of("clientPass"), &ms_chap_v2(b"User")), success);
        assert_eq!(verify_as(&hash_of("clientPass"), &ms_chap_v2(b"DOMAIN\\User")), success);
        let wrong = Err(Rejected::WrongPassword);
        assert_eq!(verify_as(&hash_of("clientPass"), &ms_chap_v2(b"User@HUB1")), wrong);
        assert_eq!(verify_as(&hash_of("clientpass"), &ms_chap_v2(b"User")), wrong);
        assert_eq!(verify_as(&Credential::NtHash(Secret::from("short")), &ms_chap_v2(b"User")), wrong);
        assert_eq!(verify_as(&Credential::Password(Secret::new(vec![0xff])), &ms_chap_v2(b"User")), wrong);
    }

    #[test]
    fn pap_holds_against_password_and_hash() {
        for (text, expected) in
            [("Süß", Ok(None)), ("süß", Err(Rejected::WrongPassword)), ("", Err(Rejected::WrongPassword))]
        {
            let proof = Proof::Pap { password: Secret::from(text) };
            assert_eq!(verify_as(&password("Süß"), &proof), expected);
            assert_eq!(verify_as(&hash_of("Süß"), &proof), expected);
        }
        let bytes = Proof::Pap { password: Secret::new(vec![0x53, 0xfc, 0xdf]) };
        assert_eq!(verify_as(&hash_of("Süß"), &bytes), Err(Rejected::WrongPassword));
    }

    #[test]
    fn chap_needs_the_password() {
        // printf '\x07alice-pw0123456789abcdef' | md5sum
        let proof = Proof::Chap {
            id: 7,
            challenge: b"0123456789abcdef".to_vec(),
            response: hex!("d2eecad5c93d9f762ac017c302995cb0"),
        };
        assert_eq!(verify_as(&password("alice-pw"), &proof), Ok(None));
        assert_eq!(verify_as(&password("alice-pW"), &proof), Err(Rejected::WrongPassword));
        assert_eq!(verify_as(&hash_of("alice-pw"), &proof), Err(Rejected::NeedsPassword));
    }

    #[test]
    fn nobody_is_rejected_whatever_it_proves() {
        let empty = Proof::Pap { password: Secret::from("") };
        assert_eq!(verify(None, &empty), Err(Rejected::UnknownUser));
        assert_eq!(verify(None, &ms_chap_v2(b"User")), Err(Rejected::UnknownUser));
    }

    #[test]
    fn the_token_carries_the_names_and_shows_no_secret() {
        let credential = password("secret-word");
        let proof = Proof::Pap { password: Secret::from("secret-word") };
        let accepted =
            verify(Some(Account { user: "Jiro", hub: "HUB1", credential: &credential }), &proof).unwrap();
        assert_eq!((accepted.who.user(), accepted.who.hub()), ("Jiro", "HUB1"));
        assert_eq!(accepted.who.to_string(), "Jiro@HUB1");
        let shown = format!("{credential:?} {proof:?} {accepted:?}");
        assert!(!shown.contains("secret-word"), "{shown}");
    }
}
