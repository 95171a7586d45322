//! A `.mobileconfig` for iPhone, iPad and Mac: Apple's "Configuration Profile Reference", payload `com.apple.vpn.managed`.
//! It has no place for routes; those reach the device by DHCPINFORM when not all traffic goes through the VPN.

use super::{Account, Artifact, Profile, System, file_name, uuid};
use plist::{Dictionary, Value};

pub(super) fn profile(system: System, account: &Account) -> Profile {
    let mut ppp = dictionary([
        ("AuthName", account.user.as_str().into()),
        ("CommRemoteAddress", account.server.as_str().into()),
        ("TokenCard", false.into()),
    ]);
    if let Some(password) = &account.password {
        ppp.insert("AuthPassword".to_owned(), password.as_str().into());
    }
    let ipsec = dictionary([
        ("AuthenticationMethod", "SharedSecret".into()),
        ("LocalIdentifierType", "KeyID".into()),
        ("SharedSecret", Value::Data(account.psk.as_bytes().to_vec())),
    ]);
    let everything = i64::from(account.routes.is_empty());
    let vpn = dictionary([
        ("PayloadType", "com.apple.vpn.managed".into()),
        ("PayloadVersion", 1.into()),
        ("PayloadIdentifier", format!("sekisho.vpn.{}", uuid(account, "vpn")).into()),
        ("PayloadUUID", uuid(account, "vpn").into()),
        ("PayloadDisplayName", "VPN".into()),
        ("UserDefinedName", account.name.as_str().into()),
        ("VPNType", "L2TP".into()),
        ("PPP", ppp.into()),
        ("IPSec", ipsec.into()),
        ("IPv4", dictionary([("OverridePrimary", everything.into())]).into()),
    ]);
    let whole = dictionary([
        ("PayloadType", "Configuration".into()),
        ("PayloadVersion", 1.into()),
        ("PayloadIdentifier", format!("sekisho.{}", uuid(account, "profile")).into()),
        ("PayloadUUID", uuid(account, "profile").into()),
        ("PayloadDisplayName", account.name.as_str().into()),
        ("PayloadDescription", format!("VPN to {} for {}", account.server, account.user).into()),
        ("PayloadContent", Value::Array(vec![vpn.into()])),
    ]);
    let mut xml = Vec::new();
    // Writing to memory cannot fail.
    let _ = Value::from(whole).to_writer_xml(&mut xml);
    let steps = if system == System::Ios {
        "Send the file by AirDrop or mail, or open it from a web page, on the device itself.\n\
         Then: Settings > Profile Downloaded > Install. The VPN is in Settings > General > VPN & Device Management."
    } else {
        "Open the file, then: System Settings > General > Device Management (before macOS 15: Privacy & Security > Profiles)\n\
         > the profile > Install. The VPN is in System Settings > VPN."
    };
    let file = Artifact {
        file: file_name(account, "mobileconfig"),
        content: String::from_utf8(xml).unwrap_or_default(),
        note: "opened on the device".to_owned(),
    };
    Profile { files: vec![file], steps: steps.to_owned() }
}

fn dictionary<const N: usize>(entries: [(&str, Value); N]) -> Dictionary {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
