//! What other programs have written: configurations to be imported, the answers of STUN, DHCP and name servers; and a
//! configuration of ours whose text is changed by command.

use sekisho::config::edit::{Document, NewSecret, NewUser, Rotation};
use sekisho::doctor::{filter, lan, probe, stun};
use sekisho::import::{self, Found};

/// Longer texts are only slower.
const LONGEST: usize = 16 * 1024;

/// The first byte chooses whose bytes the rest are.
pub(super) fn foreign(bytes: &[u8]) {
    let (&kind, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let text = String::from_utf8_lossy(bytes);
    let mut found = Found::default();
    match kind % 7 {
        0 => {
            if let Ok(read) = import::softether(&text) {
                found = read;
            }
        }
        1 => import::chap_secrets(&text, "HUB1", &mut found),
        2 => import::ipsec_secrets(&text, &mut found),
        3 => {
            let transaction = bytes.get(8..20).and_then(|id| id.try_into().ok()).unwrap_or([0; 12]);
            let _ = stun::mapped_address(bytes, transaction);
        }
        4 => {
            if let Ok(ruleset) = serde_json::from_str(&text) {
                let ours = filter::Ours {
                    ports: vec![500],
                    taps: vec!["sk0".to_owned()],
                    ..filter::Ours::default()
                };
                assert!(!filter::judge(&ruleset, &ours).is_empty());
            }
        }
        5 => edit(&text),
        _ => {
            let transaction = bytes.get(46..50).and_then(|xid| xid.try_into().ok()).unwrap_or([0; 4]);
            let _ = lan::offer(bytes, u32::from_be_bytes(transaction));
            let _ = probe::dns_answer_from(bytes, 0);
        }
    }
    assert!(!found.yaml("a fuzzer", || "10.60.0.0/24".to_owned()).is_empty());
}

/// A refused change changes nothing; one that is carried out is there afterwards, and can be taken back.
fn edit(text: &str) {
    let Ok(mut document) = Document::parse(text) else { return };
    let before = document.text().to_owned();
    let hubs = document.keys(&["hubs".into()]);
    for hub in hubs {
        let secret = NewSecret::Password("a password");
        let user = NewUser { hub: &hub, name: "somebody new", secret, group: None, address: None };
        if document.add_user(&user).is_ok() {
            assert!(document.add_user(&user).is_err(), "it is there");
            document.set_disabled(&hub, "somebody new", true).expect("it is there");
            document.delete_user(&hub, "somebody new").expect("it is there");
        } else {
            assert_eq!(document.text(), before);
        }
        if document.text() != before {
            return;
        }
    }
    let _ = document.rotate_psk(&Rotation { key: "a new key", until: "2099-12-31", hub: None });
}
