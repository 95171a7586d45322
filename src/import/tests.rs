use super::*;
use crate::config::{FileFacts, load};
use proptest::prelude::*;

fn yaml(found: &Found) -> String {
    let mut next = 60;
    let text = found.yaml("a test", || {
        next += 1;
        format!("10.{next}.0.0/24")
    });
    let facts = FileFacts { name: String::new(), mode: None, now: 1_800_000_000 };
    load(&text, &facts).unwrap_or_else(|report| panic!("{report}\n{text}"));
    text
}

#[test]
fn pppd_and_strongswan_move_in() {
    let chap = "# Secrets for authentication using CHAP\n\
        jiro\t*\t\"correct horse\"\t10.1.0.9\n\
        yas l2tpd 'se\"cret' *\n\
        \"Mr X\" * a\\ b\n\
        * * everybody *\n\
        ken * @/etc/secret\n\
        JIRO * again\n\
        broken\n";
    let ipsec = "# comment\n\
        %any %any : PSK \"kT7nVpQ2xWz9RbHm4cJd\"\n\
        203.0.113.7 %any: PSK 0sbU44YlZjWDN6QXM1RGZHaDdqS2w=\n\
        : RSA moon.pem\n\
        include /etc/ipsec.d/*.secrets\n";
    let mut found = Found::default();
    chap_secrets(chap, "OFFICE", &mut found);
    ipsec_secrets(ipsec, &mut found);
    let text = yaml(&found);
    for wanted in [
        "- key: \"kT7nVpQ2xWz9RbHm4cJd\"",
        "- key: \"mN8bVcX3zAs5DfGh7jKl\"",
        "\"jiro\": { password: \"correct horse\", address: 10.1.0.9 }",
        "\"yas\": { password: \"se\\\"cret\" }",
        "\"Mr X\": { password: \"a b\" }",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in: {text}");
    }
    let left = found.left_out.join("\n");
    for wanted in [
        "line 3: user yas was for the server l2tpd",
        "line 5",
        "line 6",
        "line 7",
        "line 8",
        "203.0.113.7",
        "kind RSA",
        "includes",
    ] {
        assert!(left.contains(wanted), "{wanted} is not in: {left}");
    }
}

const SOFTETHER: &str = "\u{feff}# Software Configuration File\n\
declare root\n{\n\tuint ConfigRevision 5\n\
\tdeclare IPsec\n\t{\n\t\tbool EtherIP_IPsec true\n\t\tstring IPsec_Secret a$20long$20key$20of$2024$20characters\n\
\t\tstring L2TP_DefaultHub HUB$20one\n\t\tbool L2TP_IPsec true\n\t\tbool L2TP_Raw true\n\t}\n\
\tdeclare LocalBridgeList\n\t{\n\t\tdeclare LocalBridge0\n\t\t{\n\t\t\tstring DeviceName eth1\n\t\t}\n\t}\n\
\tdeclare VirtualHUB\n\t{\n\
\t\tdeclare HUB$20one\n\t\t{\n\t\t\tbool Online true\n\
\t\t\tdeclare SecureNAT\n\t\t\t{\n\t\t\t\tbool Disabled false\n\
\t\t\t\tdeclare VirtualHost\n\t\t\t\t{\n\t\t\t\t\tstring VirtualHostIp 192.168.30.1\n\t\t\t\t\tstring VirtualHostIpSubnetMask 255.255.255.0\n\t\t\t\t}\n\
\t\t\t\tdeclare VirtualDhcpServer\n\t\t\t\t{\n\t\t\t\t\tstring DhcpLeaseIPStart 192.168.30.10\n\t\t\t\t\tstring DhcpLeaseIPEnd 192.168.30.200\n\t\t\t\t\tstring DhcpDnsServerAddress 192.168.30.1\n\t\t\t\t\tstring DhcpDnsServerAddress2 9.9.9.9\n\t\t\t\t\tstring DhcpDomainName office.example\n\t\t\t\t}\n\t\t\t}\n\
\t\t\tdeclare SecurityAccountDatabase\n\t\t\t{\n\t\t\t\tdeclare UserList\n\t\t\t\t{\n\
\t\t\t\t\tdeclare jiro\n\t\t\t\t\t{\n\t\t\t\t\t\tbyte AuthNtLmSecureHash iEb36u6PsRetBr3YMLdYbA==\n\t\t\t\t\t\tuint AuthType 1\n\t\t\t\t\t\tuint64 ExpireTime 4102444799000\n\t\t\t\t\t\tstring GroupName staff\n\t\t\t\t\t}\n\
\t\t\t\t\tdeclare ken\n\t\t\t\t\t{\n\t\t\t\t\t\tbyte AuthNtLmSecureHash iEb36u6PsRetBr3YMLdYbA==\n\t\t\t\t\t\tuint AuthType 1\n\t\t\t\t\t\tdeclare Policy\n\t\t\t\t\t\t{\n\t\t\t\t\t\t\tbool Access false\n\t\t\t\t\t\t}\n\t\t\t\t\t}\n\
\t\t\t\t\tdeclare cert\n\t\t\t\t\t{\n\t\t\t\t\t\tuint AuthType 2\n\t\t\t\t\t}\n\
\t\t\t\t\tdeclare far\n\t\t\t\t\t{\n\t\t\t\t\t\tuint AuthType 4\n\t\t\t\t\t}\n\
\t\t\t\t}\n\t\t\t}\n\t\t}\n\
\t\tdeclare LAB\n\t\t{\n\t\t\tbool Online false\n\t\t}\n\
\t}\n}\n";

#[test]
fn softether_moves_in() {
    let found = softether(SOFTETHER).unwrap();
    let text = yaml(&found);
    for wanted in [
        "- key: \"a long key of$2024 characters\"",
        "default_hub: \"HUB-one\"",
        "raw_l2tp: true",
        "  \"HUB-one\":\n    network: 192.168.30.0/24\n    gateway: 192.168.30.1\n    dhcp: { range: 192.168.30.10-192.168.30.200, dns: [9.9.9.9], domain: \"office.example\" }",
        "\"jiro\": { nt_hash: \"8846f7eaee8fb117ad06bdd830b7586c\", expires: 2099-12-31 }",
        "disabled: true",
        "  \"LAB\":\n    network: 10.61.0.0/24",
        "auth: [mschapv2, pap]",
    ] {
        let wanted = wanted.replace("of$2024", "of 24");
        assert!(text.contains(&wanted), "{wanted} is not in: {text}");
    }
    let left = found.left_out.join("\n");
    for wanted in [
        "user cert",
        "user far",
        "RADIUS",
        "EtherIP",
        "local bridges",
        "group staff",
        "hub HUB one: it is called HUB-one here",
        "hub LAB: it was offline",
    ] {
        assert!(left.contains(wanted), "{wanted} is not in: {left}");
    }
    assert!(softether("declare root\n{\n").is_err() && softether("hello").is_err() && softether("").is_err());
}

proptest! {
    #[test]
    fn nothing_that_is_imported_is_a_reason_to_panic(text in "[a-z:#\"'\\\\ {}$0-9\n\t]{0,200}", at in any::<prop::sample::Index>()) {
        let mut found = Found::default();
        chap_secrets(&text, "A", &mut found);
        ipsec_secrets(&text, &mut found);
        let _ = softether(&text);
        let mut cut = SOFTETHER.to_owned();
        let place = (0..=at.index(cut.len())).rev().find(|place| cut.is_char_boundary(*place)).unwrap_or(0);
        cut.insert_str(place, &text);
        let _ = softether(&cut);
    }
}
