//! ONC, the Open Network Configuration of Chromium, for ChromeOS.

use super::{Account, Artifact, Profile, file_name, uuid};
use serde_json::{Value, json};

pub(super) fn profile(account: &Account) -> Profile {
    let mut l2tp = json!({ "Username": account.user, "SaveCredentials": true });
    if let (Some(password), Value::Object(l2tp)) = (&account.password, &mut l2tp) {
        l2tp.insert("Password".to_owned(), json!(password));
    }
    let onc = json!({
        "Type": "UnencryptedConfiguration",
        "NetworkConfigurations": [{
            "GUID": uuid(account, "onc"),
            "Name": account.name,
            "Type": "VPN",
            "VPN": {
                "Type": "L2TP-IPsec",
                "Host": account.server,
                "IPsec": { "AuthenticationType": "PSK", "IKEVersion": 1, "PSK": account.psk, "SaveCredentials": true },
                "L2TP": l2tp,
            },
        }],
    });
    let file = Artifact {
        file: file_name(account, "onc"),
        content: format!("{onc:#}\n"),
        note: "imported in chrome://network".to_owned(),
    };
    Profile {
        files: vec![file],
        steps: "In the browser: chrome://network > Network Configuration > Import ONC file. The VPN is in Settings > Network."
            .to_owned(),
    }
}
