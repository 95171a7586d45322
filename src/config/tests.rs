//! Whole files: what is accepted, and every message that a wrong one earns.

use super::*;
use std::{net::Ipv4Addr, time::Duration};

/// 2026-11-22, noon.
const NOW: u64 = 1_795_348_800;

fn read(text: &str) -> Result<Loaded, Report> {
    load(text, &FileFacts { name: "s.yaml".to_owned(), mode: Some(0o600), now: NOW })
}

/// What is said about a file, one finding per line: `line:column severity key: message (hint)`.
fn said(text: &str) -> String {
    let report = match read(text) {
        Ok(loaded) => loaded.warnings,
        Err(report) => report,
    };
    report.to_string().replace("s.yaml", "")
}

const KEY: &str = "ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }\n";

fn config(text: &str) -> Config {
    read(&format!("{KEY}{text}")).unwrap_or_else(|report| panic!("{report}")).config
}

fn complaint(text: &str) -> String {
    said(&format!("{KEY}{text}"))
}

#[test]
fn the_minimal_example_has_every_default() {
    let loaded = read(include_str!("../../config/minimal.yaml")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings.to_string(), "");
    let config = loaded.config;
    assert_eq!(config.listen.ports, Ports { ike: 500, nat_t: 4500, l2tp: 1701 });
    assert!(config.listen.l2tp_ipsec && !config.listen.raw_l2tp);
    assert_eq!(config.ipsec.policy, Policy::Compatible);
    let hub = config.default_hub().unwrap();
    assert_eq!((hub.name.as_str(), hub.gateway), ("HUB1", Ipv4Addr::new(10, 60, 0, 1)));
    assert_eq!(hub.dhcp.range.to_string(), "10.60.0.1-10.60.0.254");
    assert_eq!((&hub.dhcp.dns, hub.dhcp.lease), (&Dns::OfHost, Duration::from_secs(8 * 3600)));
    assert_eq!(hub.uplink, Uplink::Auto);
    let user = hub.user("JIRO").unwrap();
    assert_eq!(user.terms.dead_after, Duration::from_secs(300));
    assert_eq!((user.terms.admit(NOW), user.terms.ends(NOW)), (Ok(()), None));
    assert!(matches!(&user.credential, Credential::Password(p) if **p == *b"change me, too"));
}

#[test]
fn the_full_example_loads_without_a_warning() {
    let loaded = read(include_str!("../../config/full.yaml")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings.to_string(), "");
    let config = loaded.config;
    assert_eq!(config.ipsec.psks.len(), 3);
    assert_eq!(config.ipsec.psks[1].until, Some(4_102_444_800));
    let guests = config.ipsec.psks[2].hub.map(|index| config.hubs[index].name.as_str());
    assert_eq!(guests, Some("GUESTS"));
    let sales = &config.ipsec.groups[0];
    assert_eq!((sales.name.as_str(), sales.psk.until), ("sales", Some(4_102_444_800)));
    assert_eq!(config.default_hub().unwrap().name, "OFFICE");
    let office = config.hub("office").unwrap();
    let user = |name| office.user(name).unwrap();
    let terms = |name| &*user(name).terms;
    assert_eq!((terms("jiro").max_sessions, terms("jiro").on_limit), (None, OnLimit::ReplaceOldest));
    assert_eq!((terms("yas").max_sessions, terms("yas").dead_after), (Some(3), Duration::from_secs(3600)));
    assert_eq!((terms("ken").max_sessions, user("ken").disabled), (Some(10), true));
    assert_eq!(user("yas").address, Some(Ipv4Addr::new(10, 60, 0, 50)));
    assert!(matches!(&user("yas").credential, Credential::NtHash(hash) if hash[..2] == [0x88, 0x46]));
    assert!(terms("pump-station").allow_raw_l2tp && !terms("jiro").allow_raw_l2tp);
    let visitor = &config.hub("GUESTS").unwrap().user("visitor").unwrap().terms;
    // The end of a day in Tokyo.
    assert_eq!(visitor.expires, Some(4_102_444_800 - 9 * 3600));
    assert_eq!(visitor.admit(NOW), Err(Denied::Hours), "it is Sunday night there");
    assert_eq!(config.ppp.auth, [AuthProtocol::MsChapV2, AuthProtocol::EapMsChapV2, AuthProtocol::Pap]);
}

/// The example of the specification.
#[test]
fn the_issues_example_loads() {
    let text = r#"
listen: { addresses: ["0.0.0.0"], l2tp_ipsec: true, raw_l2tp: false }
ipsec:
  policy: compatible
  psk:
    - key: "a long pre-shared key for everybody"
    - { key: "last month's key", until: 2026-12-31 }
    - { key: "a key for guests alone", hub: GUESTS }
default_hub: HUB1
hubs:
  HUB1:
    network: 10.60.0.0/24            # the gateway is .1 unless said
    dhcp: { range: 10.60.0.10-10.60.0.250, dns: [10.60.0.1], domain: office.example, lease: 8h }
    uplink: nat
    users:
      jiro: { password: "..." }
      yas: { nt_hash: "8846f7eaee8fb117ad06bdd830b7586c", address: 10.60.0.50 }
  GUESTS: { network: 10.61.0.0/24, uplink: nat, users: { visitor: { password: "..." } } }
"#;
    assert!(read(text).is_ok());
    insta::assert_snapshot!(said(text), @r"
    :7:7: warning: ipsec.psk[1]: this key is weak: 16 characters; at least 20 withstand guessing
        hint: `sekisho up` makes a good one; so does: openssl rand -base64 24
    :16:15: warning: hubs.HUB1.users.jiro.password: this password is weak
        hint: take at least 8 characters that are not the name
    :17:14: warning: hubs.HUB1.users.yas.nt_hash: yas cannot log in with chap, which needs the password itself
        hint: nearly every client takes mschapv2; leave chap out of ppp.auth if nobody needs it
    :18:69: warning: hubs.GUESTS.users.visitor.password: this password is weak
        hint: take at least 8 characters that are not the name
    ");
}

#[test]
fn every_error_is_reported_in_one_go() {
    let text = "
listen: { adresses: [0.0.0.0], raw_l2tp: maybe, ports: { ike: 70000 } }
ipsec:
  policy: strong
  psk:
    - { kee: secret, until: tomorrow }
    - 12345678
hubs:
  HUB1:
    netwrok: 10.60.0.0/24
    dhcp: { range: 10.60.0.250-10.60.0.10, lease: 300 }
    users: [jiro]
  HUB2:
    network: 10.61.0.1/24
    uplink: Nat
    users:
      yas: { password: 12345678, nt_hash: 123, adress: 10.61.0.7 }
ppp: { auth: [mschap2, eap], mru: -1 }
sessions: { dead_after: 5 minutes, on_limit: replace }
log: verbose
nonsense: 1
";
    insta::assert_snapshot!(said(text), @r"
    :2:11: error: listen.adresses: there is no key `adresses` in listen
        hint: did you mean `addresses`?
    :2:32: error: listen.raw_l2tp: found a text, expected true or false
    :2:58: error: listen.ports.ike: 70000 is not a whole number from 0 to 65535
    :4:3: error: ipsec.policy: `strong` is not known here
        hint: one of: modern, compatible, legacy
    :6:9: error: ipsec.psk[0].kee: there is no key `kee` in ipsec.psk[0]
        hint: did you mean `key`?
    :6:22: error: ipsec.psk[0].until: `tomorrow` is not a date: write year-month-day, such as 2026-12-31
    :7:7: error: ipsec.psk[1]: found a number, expected a key in quotes, or a mapping with `key`
    :10:5: error: hubs.HUB1.netwrok: there is no key `netwrok` in hubs.HUB1
        hint: did you mean `network`?
    :11:13: error: hubs.HUB1.dhcp.range: the range `10.60.0.250-10.60.0.10` ends before it begins
    :11:44: error: hubs.HUB1.dhcp.lease: `300` is not a length of time: write a number and a unit, such as 90s, 5m, 8h or 2d
    :12:5: error: hubs.HUB1.users: found a list, expected a mapping (lines of `key: value`)
    :14:5: error: hubs.HUB2.network: `10.61.0.1/24` is an address inside a network: the network is 10.61.0.0/24
    :15:5: error: hubs.HUB2.uplink: `Nat` is not known here
        hint: did you mean `nat`? (one of: nat, usernat, none, tap)
    :17:14: error: hubs.HUB2.users.yas.password: found a number, expected a text; put it in quotes
    :17:34: error: hubs.HUB2.users.yas.nt_hash: found a number, expected a text; put it in quotes
    :17:48: error: hubs.HUB2.users.yas.adress: there is no key `adress` in hubs.HUB2.users.yas
        hint: did you mean `address`?
    :18:15: error: ppp.auth[0]: `mschap2` is not known here
        hint: did you mean `mschapv2`? (one of: mschapv2, chap, pap, eap-mschapv2, eap-md5)
    :18:24: error: ppp.auth[1]: `eap` is not known here
        hint: did you mean `pap`? (one of: mschapv2, chap, pap, eap-mschapv2, eap-md5)
    :18:30: error: ppp.mru: -1 is not a whole number from 0 to 65535
    :19:13: error: sessions.dead_after: `5 minutes` is not a length of time: write a number and a unit, such as 90s, 5m, 8h or 2d
    :19:36: error: sessions.on_limit: `replace` is not known here
        hint: one of: replace-same-device, replace-oldest, deny
    :20:1: error: log: found a text, expected a mapping (lines of `key: value`)
    :21:1: error: nonsense: there is no key `nonsense` at the top of the file
        hint: the keys here are: listen, ipsec, clients, default_hub, hubs, routers, ppp, sessions, limits, penalties, log, workers
    ");
}

#[test]
fn rules_between_keys_are_checked_all_at_once() {
    let text = "
listen: { addresses: [0.0.0.0, 192.0.2.1, '::', 0.0.0.0], ports: { nat_t: 500 } }
ipsec:
  psk:
    - vpn
    - vpn
    - { key: kT7nVpQ2xWz9RbHm4cJd, until: 2026-11-21 }
    - { key: kT7nVpQ2xWz9RbHm4cJe, hub: HUBB1 }
    - ' kT7nVpQ2xWz9RbHm4cJü'
    - ''
hubs:
  HUB1:
    network: 10.60.0.0/24
    gateway: 10.60.0.0
    dhcp: { range: 10.60.0.10-10.60.1.10, dns: [127.0.0.53], domain: -x-, lease: 1s }
    users:
      jiro: { password: jiro, nt_hash: 8846f7eaee8fb117ad06bdd830b7586c }
      JIRO: { password: short, address: 10.60.1.1, max_sessions: 0 }
      yas: { address: 10.60.0.1 }
      a@hub1: { password: 'long enough' }
      hub2\\x: { password: 'long enough' }
      'b ': { password: 'long enough', address: 10.60.0.9 }
      c@: { password: 'long enough', address: 10.60.0.9 }
  HUB2: { network: 10.60.0.128/25 }
  hub2: { network: 8.8.8.0/24 }
  none: { network: 127.0.0.0/16 }
  'a b': { network: 10.99.0.0/31, allow_raw_l2tp: true }
ppp: { auth: [pap, pap], mru: 100 }
sessions: { dead_after: 1s, resume_for: 2d, max_sessions: 0 }
limits: { half_open: 1, sessions: 0 }
workers: 0
";
    insta::assert_snapshot!(said(text), @r#"
    : error: default_hub: there are 5 hubs, and nothing says which is for a user who names none
        hint: default_hub: a b, or default_hub: none
    :2:32: error: listen.addresses[1]: 192.0.2.1 and 0.0.0.0 cover each other
        hint: keep 0.0.0.0 alone, or name the addresses
    :2:43: error: listen.addresses[2]: :: is an IPv6 address, which this release does not listen on
        hint: clients reach this release through IPv4; "0.0.0.0" is every IPv4 address
    :2:49: error: listen.addresses[3]: 0.0.0.0 is in the list already
    :2:68: error: listen.ports.nat_t: 500 is the port of `ike` already
    :5:7: warning: ipsec.psk[0]: this key is weak: it is among the first that anybody tries
        hint: `sekisho up` makes a good one; so does: openssl rand -base64 24
    :6:7: error: ipsec.psk[1]: this key is in the list already
        hint: a key that opens one hub alone must differ from the others
    :6:7: warning: ipsec.psk[1]: this key is weak: it is among the first that anybody tries
        hint: `sekisho up` makes a good one; so does: openssl rand -base64 24
    :7:36: warning: ipsec.psk[2].until: the time of this key was over with 2026-11-21
        hint: remove it, or move the date
    :8:36: error: ipsec.psk[3].hub: there is no hub `HUBB1`
        hint: did you mean `HUB1`?
    :9:7: warning: ipsec.psk[4]: the key begins or ends with white space
        hint: a space at an end is easily lost when it is typed into a phone
    :9:7: warning: ipsec.psk[4]: the key has characters that clients encode differently
        hint: use letters, digits and punctuation of ASCII
    :10:7: error: ipsec.psk[5]: the key is empty
        hint: `sekisho up` makes a good one; so does: openssl rand -base64 24
    :14:5: error: hubs.HUB1.gateway: 10.60.0.0 cannot be a host of 10.60.0.0/24
        hint: the hosts of 10.60.0.0/24 are 10.60.0.1 to 10.60.0.254
    :15:13: error: hubs.HUB1.dhcp.range: 10.60.1.10 cannot be a host of 10.60.0.0/24
        hint: the hosts of 10.60.0.0/24 are 10.60.0.1 to 10.60.0.254
    :15:49: error: hubs.HUB1.dhcp.dns[0]: 127.0.0.53 cannot be a client's name server
        hint: name a server as the client reaches it
    :15:62: error: hubs.HUB1.dhcp.domain: `-x-` is not a domain name
        hint: such as office.example
    :15:75: error: hubs.HUB1.dhcp.lease: 1s is not between 1m and 365d
    :17:7: error: hubs.HUB1.users.jiro: `jiro` and `JIRO` are the same user: case does not count
    :17:31: error: hubs.HUB1.users.jiro.nt_hash: there is a password and an NT hash, and they may differ
        hint: keep one of the two
    :18:15: warning: hubs.HUB1.users.JIRO.password: this password is weak
        hint: take at least 8 characters that are not the name
    :18:32: error: hubs.HUB1.users.JIRO.address: 10.60.1.1 cannot be a host of 10.60.0.0/24
        hint: the hosts of 10.60.0.0/24 are 10.60.0.1 to 10.60.0.254
    :18:52: error: hubs.HUB1.users.JIRO.max_sessions: with 0 nobody can connect
        hint: `access: deny` keeps them out and says so; `none` is as many as they like
    :19:7: error: hubs.HUB1.users.yas: this user has neither a password nor an NT hash
        hint: password: "...", or nt_hash: "32 hexadecimal digits"
    :20:7: error: hubs.HUB1.users.a@hub1: `a@hub1` is read as user `a` of hub HUB1, when somebody logs in
        hint: write the user under that hub, without the hub's name
    :21:7: error: hubs.HUB1.users.hub2\x: `hub2\x` is read as user `x` of hub HUB2, when somebody logs in
        hint: write the user under that hub, without the hub's name
    :22:7: error: hubs.HUB1.users.b : the name of this user begins or ends with white space
        hint: white space around a name is dropped when somebody logs in
    :23:7: error: hubs.HUB1.users.c@: `c@` is read as `c`, when somebody logs in
        hint: a closing `@` means `no hub` and is not part of the name
    :23:38: error: hubs.HUB1.users.c@.address: 10.60.0.9 is the address of user b  already
    :24:11: error: hubs.HUB2.network: 10.60.0.128/25 overlaps 10.60.0.0/24 of hub HUB1
        hint: with `uplink: nat` the host has both networks and cannot tell them apart: change one
    :25:3: error: hubs.hub2: `hub2` and `HUB2` are the same hub: case does not count
    :25:11: warning: hubs.hub2.network: 8.8.8.0/24 belongs to somebody on the Internet, whom clients will not reach
        hint: private networks lie in 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and 100.64.0.0/10
    :26:3: error: hubs.none: `none` cannot be the name of a hub: default_hub uses it for `no hub`
    :26:11: error: hubs.none.network: 127.0.0.0/16 is no network for hosts
        hint: take a private network, such as 10.60.0.0/24
    :27:3: error: hubs.a b: `a b` cannot be the name of a hub
        hint: 1 to 64 letters, digits, `-`, `_` and `.`
    :27:12: error: hubs.a b.network: 10.99.0.0/31 is not between /8 and /30
        hint: a /24 has room for 253 clients, a /16 for 65,533
    :27:35: warning: hubs.a b.allow_raw_l2tp: this has no effect while listen.raw_l2tp is off
        hint: set listen.raw_l2tp: true if clear-text L2TP is wished
    :28:20: error: ppp.auth[1]: pap is in the list already
    :28:26: error: ppp.mru: 100 is not between 576 and 1500 bytes
        hint: 1400 fits nearly everywhere
    :29:13: error: sessions.dead_after: 1s is not between 30s and 1d
    :29:29: error: sessions.resume_for: 2d is not between 0s and 1d
    :29:45: error: sessions.max_sessions: with 0 nobody can connect
        hint: `access: deny` keeps them out and says so; `none` is as many as they like
    :30:1: error: limits.half_open_per_source: 64 from one source is more than 1 in all
    :30:25: error: limits.sessions: with 0 nobody can connect
    :31:1: error: workers: 0 is not between 1 and 64
    "#);
}

#[test]
fn what_is_not_yaml_has_a_place() {
    insta::assert_snapshot!(said("hubs:\n  HUB1: { network: 10.60.0.0/24\n"), @r"
    :3:1: error: this is not YAML: did not find expected ',' or '}'
        hint: look at this line and the one above: indentation, a missing colon, an unclosed quote or bracket
    ");
    insta::assert_snapshot!(said("hubs:\n\tHUB1: {}\n"), @r"
    :2:1: error: this is not YAML: found character that cannot start any token
        hint: YAML wants spaces at the beginning of a line, not tabs
    ");
    insta::assert_snapshot!(said("hubs: {}\nlog: {}\nhubs: {}\nlog: { level: info, level: warn }\n"), @r"
    :3:1: error: hubs: this key stands already on line 1
        hint: keep one of the two
    :4:1: error: log: this key stands already on line 2
        hint: keep one of the two
    :4:21: error: log.level: this key stands already on line 4
        hint: keep one of the two
    ");
    insta::assert_snapshot!(said(""), @r"
    : error: the file is empty
        hint: begin with config/minimal.yaml, or run `sekisho up`
    ");
    insta::assert_snapshot!(said("- 1\n"), @r"
    : error: found a list, expected a mapping (lines of `key: value`)
    ");
    insta::assert_snapshot!(said("1: 2\n"), @r"
    : error: one of the keys here is not a text: put it in quotes
    ");
    insta::assert_snapshot!(said("hubs: { A: !secret x }\n"), @r#"
    : error: ipsec.psk: there is no pre-shared key, so nobody can connect
        hint: psk: [ { key: "at least twenty characters, random ones" } ]
    :1:9: error: hubs.A: found a YAML tag, expected a mapping (lines of `key: value`)
    "#);
    assert!(read("a: *b").is_err());
}

#[test]
fn keys_with_nothing_behind_them_count_as_empty() {
    let config = config("listen:\nhubs: { A: { network: 10.1.0.0/16, dhcp: , users: , gateway: } }\nlog:\n");
    assert!(config.hubs[0].users.is_empty());
    insta::assert_snapshot!(complaint("hubs:\n  A:\n"), @r"
    :3:3: error: hubs.A.network: the key `network` is missing
        hint: every hub has a network of its own, such as network: 10.60.0.0/24
    ");
    insta::assert_snapshot!(complaint("hubs:\n"), @r"
    :2:1: error: hubs: there is no hub
        hint: the smallest: hubs: { HUB1: { network: 10.60.0.0/24 } }
    ");
    insta::assert_snapshot!(complaint("hubs: { A: { network: 10.1.0.0/16, users: { u: { password: } } } }"), @r"
    :2:50: error: hubs.A.users.u.password: found nothing, expected a text; put it in quotes
    ");
}

#[test]
fn yaml_aliases_and_merge_keys_work() {
    let config = config(
        "hubs:
  A: &a { network: 10.1.0.0/24, uplink: none, users: { u: &u { password: 'a password' } } }
  B: { <<: *a, network: 10.2.0.0/24, users: { v: *u } }
default_hub: none
",
    );
    assert_eq!(config.hubs[1].uplink, Uplink::None);
    assert!(config.hubs[1].user("v").is_some() && config.default_hub().is_none());
}

#[test]
fn several_hubs_need_a_word_about_the_default() {
    let two = "hubs: { A: { network: 10.1.0.0/24 }, B: { network: 10.2.0.0/24 } }\n";
    insta::assert_snapshot!(complaint(two), @r"
    : error: default_hub: there are 2 hubs, and nothing says which is for a user who names none
        hint: default_hub: A, or default_hub: none
    ");
    insta::assert_snapshot!(complaint(&format!("{two}default_hub: C\n")), @r"
    :3:1: error: default_hub: there is no hub `C`
        hint: did you mean `A`?
    ");
    assert_eq!(config(&format!("{two}default_hub: b\n")).default_hub().unwrap().name, "B");
    assert!(config(&format!("{two}default_hub: None\n")).default_hub().is_none());
}

#[test]
fn expired_keys_are_dropped_and_somebody_must_be_left() {
    let hubs = "hubs: { A: { network: 10.1.0.0/24 } }\n";
    let text = format!(
        "ipsec: {{ psk: [kT7nVpQ2xWz9RbHm4cJd, {{ key: xxkT7nVpQ2xWz9RbHm4c, until: 2026-11-21 }}] }}\n{hubs}"
    );
    assert_eq!(read(&text).unwrap().config.ipsec.psks.len(), 1);
    let today = format!("ipsec: {{ psk: [{{ key: xxkT7nVpQ2xWz9RbHm4c, until: 2026-11-22 }}] }}\n{hubs}");
    assert!(read(&today).is_ok(), "the last day counts");
    insta::assert_snapshot!(said(&format!("ipsec: {{ psk: [{{ key: xxkT7nVpQ2xWz9RbHm4c, until: 2025-01-01 }}] }}\n{hubs}")), @r"
    :1:10: error: ipsec.psk: no key is valid any more: the last one ended with 2025-01-01
    :1:45: warning: ipsec.psk[0].until: the time of this key was over with 2025-01-01
        hint: remove it, or move the date
    ");
    insta::assert_snapshot!(said(hubs), @r#"
    : error: ipsec.psk: there is no pre-shared key, so nobody can connect
        hint: psk: [ { key: "at least twenty characters, random ones" } ]
    "#);
    insta::assert_snapshot!(said(&format!("listen: {{ l2tp_ipsec: false }}\n{hubs}")), @r"
    :1:11: error: listen.l2tp_ipsec: with both l2tp_ipsec and raw_l2tp off nobody can connect
        hint: switch l2tp_ipsec on
    ");
    let keys: Vec<_> = (0..17).map(|n| format!("kT7nVpQ2xWz9RbHm4c{n:02}")).collect();
    insta::assert_snapshot!(said(&format!("ipsec: {{ psk: [{}] }}\n{hubs}", keys.join(", "))), @r"
    :1:10: error: ipsec.psk: 17 keys are valid at once, and at most 16 are tried
        hint: remove the keys that nobody uses any more
    ");
}

#[test]
fn the_nearest_rule_counts() {
    let config = config(
        "
sessions: { max_sessions: 9, dead_after: 10m, expires: 2026-12-31, time_zone: -05:00 }
hubs:
  A:
    network: 10.1.0.0/24
    max_sessions: 7
    access: deny
    groups: { Staff: { max_sessions: 5, access: allow, hours: mon-fri 08:00-18:00 } }
    users:
      u: { password: 'long enough' }
      v: { password: 'long enough', group: STAFF }
      w: { password: 'long enough', group: staff, max_sessions: 3, hours: none, expires: none, dead_after: 1m }
  B: { network: 10.2.0.0/24, users: { u: { password: 'long enough' } } }
default_hub: A
",
    );
    let user = |hub: &str, name: &str| config.hub(hub).unwrap().user(name).unwrap();
    let limits = |hub, name| {
        let terms = &user(hub, name).terms;
        (
            terms.max_sessions,
            terms.access,
            terms.dead_after.as_secs(),
            terms.hours.is_some(),
            terms.expires.is_some(),
        )
    };
    assert_eq!(limits("A", "u"), (Some(7), Access::Deny, 600, false, true));
    assert_eq!(limits("A", "v"), (Some(5), Access::Allow, 600, true, true));
    assert_eq!(limits("A", "w"), (Some(3), Access::Allow, 60, false, false));
    assert_eq!(limits("B", "u"), (Some(9), Access::Allow, 600, false, true));
    assert_eq!(user("A", "v").group.as_deref(), Some("Staff"));
    // Sunday 12:00 UTC; Monday 08:00 in New York is 13:00 UTC, and the year ends five hours later there.
    let (terms, monday) = (&user("A", "v").terms, NOW + 86_400);
    assert_eq!(terms.admit(NOW), Err(Denied::Hours));
    assert_eq!(terms.admit(monday), Err(Denied::Hours));
    assert_eq!(terms.admit(monday + 3_600), Ok(()));
    assert_eq!(terms.ends(monday + 3_600), Some(monday + 11 * 3_600));
    let end = 1_798_761_600 + 5 * 3_600;
    assert_eq!(terms.admit(end), Err(Denied::Expired));
    assert_eq!(user("A", "u").terms.admit(NOW), Err(Denied::Access));
    assert_eq!(user("B", "u").terms.ends(NOW), Some(end));
}

#[test]
fn rules_are_checked_wherever_they_stand() {
    let text = "
sessions: { max_sessions: lots, dead_after: none, access: maybe }
hubs:
  A:
    network: 10.1.0.0/24
    time_zone: Asia/Tokyo
    idle_timeout: 10s
    broadcasts: 0
    rate_up: 10
    rate_down: 9kbit
    uplink_rules: { max_macs: 0, broadcasts: 1000000 }
    session_timeout: 2 days
    groups:
      staff: { hours: 8-18, max_sessions: 0, dead_after: 2d }
      STAFF: { expires: 2026-11-21, color: red }
      ' x': {}
    users:
      u: { password: 'long enough', group: stuff, disabled: 1, expires: soon }
      v: { password: 'long enough', group: staff, allow_raw_l2tp: true, address: 10.1.0.5, own_address: true }
  B: { network: 10.2.0.0/24, users: { u: { password: 'long enough', group: staff } } }
default_hub: A
";
    insta::assert_snapshot!(complaint(text), @r"
    :3:13: error: sessions.max_sessions: found a text, expected a whole number, or none
    :3:33: error: sessions.dead_after: `none` is not a length of time: write a number and a unit, such as 90s, 5m, 8h or 2d
    :3:51: error: sessions.access: `maybe` is not known here
        hint: one of: allow, deny
    :7:5: error: hubs.A.time_zone: `Asia/Tokyo` is not a time zone: write its distance from UTC, such as +09:00, -03:30 or UTC
    :8:5: error: hubs.A.idle_timeout: 10s is not between 1m and 365d
    :9:5: error: hubs.A.broadcasts: 0 is not between 1 and 100000 frames a second
        hint: a client that begins sends a dozen; ARP and the questions for its settings are among them
    :10:5: error: hubs.A.rate_up: `10` is not a rate: write bits a second, such as 512kbit, 10mbit or 1gbit
    :11:5: error: hubs.A.rate_down: 9kbit is not between 32kbit and 100gbit
        hint: `none` is as fast as it goes
    :12:21: error: hubs.A.uplink_rules.max_macs: with 0 nothing comes in from the uplink
        hint: `uplink: none` is a hub without one
    :12:34: error: hubs.A.uplink_rules.broadcasts: 1000000 is not between 1 and 100000 frames a second
        hint: a client that begins sends a dozen; ARP and the questions for its settings are among them
    :13:5: error: hubs.A.session_timeout: `2 days` is not a length of time: write a number and a unit, such as 90s, 5m, 8h or 2d
    :15:7: error: hubs.A.groups.staff: `staff` and `STAFF` are the same group: case does not count
    :15:16: error: hubs.A.groups.staff.hours: `8-18` is not a time of the week: write days and times, such as mon-fri 08:00-18:00, and `;` between several
    :15:29: error: hubs.A.groups.staff.max_sessions: with 0 nobody can connect
        hint: `access: deny` keeps them out and says so; `none` is as many as they like
    :15:46: error: hubs.A.groups.staff.dead_after: 2d is not between 30s and 1d
    :16:16: warning: hubs.A.groups.STAFF.expires: this was over with 2026-11-21
        hint: move the date, or remove what is over
    :16:37: error: hubs.A.groups.STAFF.color: there is no key `color` in hubs.A.groups.STAFF
        hint: the keys here are: access, expires, hours, time_zone, max_sessions, on_limit, dead_after, idle_timeout, session_timeout, allow_raw_l2tp, own_address, isolated, dhcp_guard, rate_up, rate_down, broadcasts, multicast, monitor, volume, routes
    :17:7: error: hubs.A.groups. x: the name of a group is not empty and has no white space around it
    :19:51: error: hubs.A.users.u.disabled: found a number, expected true or false
    :19:64: error: hubs.A.users.u.expires: `soon` is not a date: write year-month-day, such as 2026-12-31
    :20:51: warning: hubs.A.users.v.allow_raw_l2tp: this has no effect while listen.raw_l2tp is off
        hint: set listen.raw_l2tp: true if clear-text L2TP is wished
    :20:73: warning: hubs.A.users.v.address: `own_address` has no effect beside it
        hint: the user gets this address, whatever the client asks for
    :21:69: error: hubs.B.users.u.group: there is no group `staff` in this hub
        hint: groups stand beside the users: groups: { staff: {} }
    ");
}

#[test]
fn groups_have_keys_of_their_own() {
    let text = "
ipsec:
  psk: kT7nVpQ2xWz9RbHm4cJd
  groups:
    sales: kT7nVpQ2xWz9RbHm4cJd
    guests: { key: nP4rTz8vKq2LmXw7HsJd, hub: B, until: 2026-11-21 }
    others: nP4rTz8vKq2LmXw7HsJd
    weak: { key: sales }
    ' x': { kee: 1 }
hubs: { A: { network: 10.1.0.0/24 } }
";
    insta::assert_snapshot!(said(text), @r"
    :5:5: error: ipsec.groups.sales: the key of this group is in `psk`, too
        hint: who listens to Aggressive Mode can try keys at leisure: give each group one of its own
    :6:42: error: ipsec.groups.guests.hub: there is no hub `B`
        hint: did you mean `A`?
    :6:50: warning: ipsec.groups.guests.until: the time of this key was over with 2026-11-21
        hint: remove it, or move the date
    :7:5: error: ipsec.groups.others: another group has this key
        hint: who listens to Aggressive Mode can try keys at leisure: give each group one of its own
    :8:5: warning: ipsec.groups.weak: this key is weak: 5 characters; at least 20 withstand guessing
        hint: `sekisho up` makes a good one; so does: openssl rand -base64 24
    :9:13: error: ipsec.groups. x.kee: there is no key `kee` in ipsec.groups. x
        hint: did you mean `key`?
    ");
    let alone = "ipsec: { groups: { sales: nP4rTz8vKq2LmXw7HsJd } }\nhubs: { A: { network: 10.1.0.0/24 } }\n";
    let config = read(alone).unwrap().config;
    let settings = config.peer_settings(false).ike;
    assert_eq!((settings.psks.len(), settings.groups[0].name.as_slice()), (0, &b"sales"[..]));
    assert!(
        settings.is_group(settings.groups[0].psk.id) && settings.psk(settings.groups[0].psk.id).is_some()
    );
}

#[test]
fn users_who_cannot_use_a_protocol_are_named() {
    let hubs = "hubs: { A: { network: 10.1.0.0/24, users: { yas: { nt_hash: 8846f7eaee8fb117ad06bdd830b7586c } } } }\n";
    insta::assert_snapshot!(complaint(hubs), @r"
    :2:52: warning: hubs.A.users.yas.nt_hash: yas cannot log in with chap, which needs the password itself
        hint: nearly every client takes mschapv2; leave chap out of ppp.auth if nobody needs it
    ");
    insta::assert_snapshot!(complaint(&format!("{hubs}ppp: {{ auth: [chap] }}\n")), @r"
    :2:52: warning: hubs.A.users.yas.nt_hash: yas can never log in: all that ppp.auth has is chap, which needs the password itself
        hint: give the password instead of the hash, or add mschapv2 to ppp.auth
    ");
    insta::assert_snapshot!(complaint(&format!("{hubs}ppp: {{ auth: [eap-md5, chap, eap-mschapv2] }}\n")), @r"
    :2:52: warning: hubs.A.users.yas.nt_hash: yas cannot log in with eap-md5 and chap, which need the password itself
        hint: nearly every client takes mschapv2; leave eap-md5 and chap out of ppp.auth if nobody needs it
    ");
    assert_eq!(complaint(&format!("{hubs}ppp: {{ auth: [mschapv2, eap-mschapv2, pap] }}\n")), "");
}

#[test]
fn a_file_that_others_may_read_is_warned_about() {
    let facts = FileFacts { name: "/etc/sekisho.yaml".to_owned(), mode: Some(0o100_644), now: NOW };
    let loaded = load(&format!("{KEY}hubs: {{ A: {{ network: 10.1.0.0/24 }} }}"), &facts).unwrap();
    insta::assert_snapshot!(loaded.warnings.to_string(), @r"
    /etc/sekisho.yaml: warning: other users of this host may read the keys and passwords in this file (mode 0644)
        hint: chmod 600 /etc/sekisho.yaml
    ");
}

/// Whatever is wrong, what is said about it never repeats a key or a password.
#[test]
fn findings_keep_secrets() {
    for text in [
        "ipsec: { psk: [ { key: [sesame] } ] }",
        "ipsec: { psk: [ { key: sesame, until: 2020-01-01 }, sesame ] }",
        "ipsec: { psk: \"sesame }",
        "ipsec: { psk: [ { key: !sesame x } ] }",
        "hubs: { A: { users: { u: { password: [sesame] } } } }",
        "hubs: { A: { users: { u: { password: sesame, nt_hash: sesame } } } }",
        "hubs: { A: { network: 10.1.0.0/16, users: { u: { password: sesame } } } }",
        "hubs: { A: { users: { u: sesame } } }",
    ] {
        let said = said(text);
        assert!(said.contains("error") && !said.contains("sesame"), "{said}");
    }
    let config = config("hubs: { A: { network: 10.1.0.0/24, users: { u: { password: sesame1234 } } } }");
    let shown = format!("{config:?}");
    assert!(!shown.contains("sesame") && !shown.contains("kT7n"), "{shown}");
}

#[test]
fn names_are_found_in_any_case() {
    let users: String = (0..50).map(|n| format!("      User{n}: {{ password: 'long enough' }}\n")).collect();
    let hubs = format!("default_hub: none\nhubs:\n  Straße:\n    network: 10.1.0.0/24\n    users:\n{users}");
    let config = config(&format!("{hubs}  B: {{ network: 10.2.0.0/24 }}\n  a: {{ network: 10.3.0.0/24 }}\n"));
    let hub = config.hub("STRASSE").unwrap();
    assert!(
        (0..50).all(|n| hub.user(&format!("uSER{n}")).is_some_and(|user| user.name == format!("User{n}")))
    );
    assert!(hub.user("user50").is_none() && config.hub("A").is_some() && config.hub("b").is_some());
}

proptest::proptest! {
    /// No text makes the loader panic, and no error comes without a finding.
    #[test]
    fn any_text_is_answered(text in "([ \n:{}\\[\\]&*,'\"#a-c0-9-]|hubs:|network: 10.0.0.0/8|ipsec:|psk:|users:|<<: ){0,60}") {
        if let Err(report) = read(&text) {
            proptest::prop_assert!(report.errors().next().is_some());
        }
    }
}

#[test]
fn penalties_have_defaults_and_bounds() {
    let hubs = "hubs: { A: { network: 10.1.0.0/24 } }\n";
    let penalties = |text: &str| config(&format!("{hubs}{text}")).penalties;
    assert_eq!(penalties(""), crate::penalty::Settings::default());
    let own = penalties(
        "penalties: { slow_after: 5, bar_after: none, bar_for: 5m, exempt: [192.0.2.0/24, '2001:db8::1'] }",
    );
    assert_eq!((own.slow_after, own.bar_after, own.bar_for), (5, None, Duration::from_secs(300)));
    assert_eq!(own.exempt.len(), 2);
    for (text, expected) in [
        ("slow_after: 0", "0 is not between 1 and 1000"),
        ("slow_after: 4, bar_after: 4", "4 is not more than the 4 of `slow_after`"),
        ("bar_for: 2h, bar_at_most: 1h", "this is less than `bar_for`"),
        ("exempt: [192.0.2.1/24]", "is not an address or prefix"),
        ("forget_after: 5s", "5s is not between 1m and 365d"),
    ] {
        let said = complaint(&format!("{hubs}penalties: {{ {text} }}\n"));
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn access_lists_are_read_in_their_order_and_checked() {
    let hub = |rules: &str| {
        format!(
            "hubs:\n  A:\n    network: 10.1.0.0/24\n    groups: {{ staff: {{}} }}\n    access_list: [{rules}]\n    users:\n      u: {{ password: 'long enough', group: Staff }}\n      v: {{ password: 'long enough' }}\n"
        )
    };
    let list = config(&hub(
        "{ action: pass, group: STAFF, to_user: V, to: 10.1.0.0/25, protocol: tcp, to_port: 80-90, established: true }, \
         { action: discard, from_mac: '5a:00:00:00:00:01', from: '2001:db8::/32', protocol: 58 }, \
         { action: discard, protocol: udp, from_port: 53 }",
    ))
    .hubs[0]
        .access_list
        .clone();
    let texts: Vec<&str> = list.iter().map(|rule| &*rule.text).collect();
    assert_eq!(
        texts,
        [
            "pass group STAFF to_user V to 10.1.0.0/25 to_port 80-90 protocol tcp established",
            "discard from_mac 5a:00:00:00:00:01 from 2001:db8::/32 protocol icmpv6",
            "discard from_port 53 protocol udp",
        ]
    );
    assert_eq!(list[0].from.users, Some(["u".into()].into()));
    assert_eq!(list[0].to.users, Some(["v".into()].into()));
    for (rule, expected) in [
        ("action: maybe", "`maybe` is neither pass nor discard"),
        ("action: pass, user: w", "there is no user `w` in this hub"),
        ("action: pass, to_group: stuff", "there is no group `stuff` in this hub"),
        ("action: pass, user: u, group: staff", "beside `user` this says nothing"),
        ("action: pass, to_port: 80", "only TCP and UDP have ports"),
        ("action: pass, protocol: udp, established: true", "only TCP has connections"),
        ("action: pass, protocol: arp, to: 10.1.0.1", "never true together"),
        ("action: pass, from: 10.1.0.1, to: '2001:db8::1'", "never true together"),
        ("action: pass, protocol: tcp, to_port: 90-80", "neither a port nor a range"),
        ("action: pass, protocol: tpc", "is not a protocol"),
        ("action: pass, to: 10.1.0.1/24", "is not an address or prefix"),
        ("action: pass, to_mac: here", "is not a MAC address"),
        ("user: u", "action"),
    ] {
        let said = complaint(&hub(&format!("{{ {rule} }}")));
        assert!(said.contains(expected), "{rule}: {said}");
    }
}

#[test]
fn dhcp_options_and_reservations_are_read_and_checked() {
    let hub = |dhcp: &str| {
        format!(
            "hubs:\n  A:\n    network: 10.1.0.0/24\n    uplink: tap\n    dhcp: {{ {dhcp} }}\n    users: {{ u: {{ password: 'long enough', address: 10.1.0.9 }} }}\n"
        )
    };
    let config = config(&hub(
        "router: false, ntp: [10.1.0.2], wins: [10.1.0.3], netbios_node_type: hybrid, netbios_scope: s, \
         search: [a.example], wpad: 'http://p/', probe: false, \
         options: [{ code: 66, text: boot }, { code: 150, addresses: [10.1.0.4, 10.1.0.5], always: true }, { code: 43, hex: '01:02 aB' }], \
         reservations: [{ mac: '5a:00:00:00:00:01', address: 10.1.0.60 }]",
    ));
    let dhcp = &config.hubs[0].dhcp;
    let options = &dhcp.options;
    assert!(!options.router && !options.probe);
    assert_eq!(options.netbios_node_type, Some(8));
    let raw: Vec<_> = options.raw.iter().map(|raw| (raw.code, raw.value.clone(), raw.always)).collect();
    assert_eq!(
        raw,
        [
            (66, b"boot".to_vec(), false),
            (150, vec![10, 1, 0, 4, 10, 1, 0, 5], true),
            (43, vec![1, 2, 0xAB], false)
        ]
    );
    assert_eq!(dhcp.reservations, [("5a:00:00:00:00:01".parse().unwrap(), Ipv4Addr::new(10, 1, 0, 60))]);
    for (text, expected) in [
        ("options: [{ code: 53, text: x }]", "is the server's own business"),
        ("options: [{ code: 66, text: x, hex: '00' }]", "has no value that can be read"),
        ("options: [{ code: 66, hex: '0' }]", "has no value that can be read"),
        ("options: [{ code: 66, text: x }, { code: 66, text: y }]", "is in the list already"),
        ("search: ['-']", "is not a domain name"),
        ("ntp: [0.0.0.0]", "cannot be a client's time server"),
        ("reservations: [{ mac: '5a:00:00:00:00:01', address: 10.2.0.1 }]", "cannot be a host of"),
        ("reservations: [{ mac: '5a:00:00:00:00:01', address: 10.1.0.1 }]", "is the gateway's own address"),
        (
            "reservations: [{ mac: '5a:00:00:00:00:01', address: 10.1.0.9 }]",
            "is the address of user u already",
        ),
        ("reservations: [{ mac: '01:00:00:00:00:01', address: 10.1.0.8 }]", "is no station's address"),
    ] {
        let said = complaint(&hub(text));
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn an_uplink_is_a_word_or_names_interfaces() {
    let uplink = |text: &str| {
        let text = format!(
            "ipsec: {{ psk: kT7nVpQ2xWz9RbHm4cJd }}\ndefault_hub: A\nhubs: {{ A: {{ network: 10.1.0.0/24, uplink: {text} }}, B: {{ network: 10.2.0.0/24, uplink: {{ interface: eth9 }} }} }}"
        );
        match read(&text) {
            Ok(loaded) => loaded.config.hubs[0].uplink.to_string(),
            Err(_) => said(&text).lines().next().unwrap_or_default().to_owned(),
        }
    };
    for (text, shown) in [
        ("tap", "tap"),
        ("{ tap: vpn0 }", "tap vpn0"),
        ("{ bridge: br0 }", "bridge br0"),
        ("{ bridge: br0, interface: eth1 }", "bridge br0 with eth1"),
        ("{ interface: eth1 }", "interface eth1"),
    ] {
        assert_eq!(uplink(text), shown);
    }
    insta::assert_snapshot!(
        ["{ interface: eth9 }", "{ bridge: a-name-too-long-for-it }", "{ tap: a/b }", "{ tap: a, bridge: b }", "{}", "{ bridg: a }", "5"]
            .map(uplink)
            .join("\n"),
        @r"
    :3:104: error: hubs.B.uplink.interface: eth9 is the uplink of hub A already
    :3:46: error: hubs.A.uplink.bridge: `a-name-too-long-for-it` cannot be the name of an interface
    :3:46: error: hubs.A.uplink.tap: `a/b` cannot be the name of an interface
    :3:36: error: hubs.A.uplink: `tap` goes with no other key here
    :3:36: error: hubs.A.uplink: one of `tap`, `bridge` and `interface` is needed here
    :3:36: error: hubs.A.uplink: one of `tap`, `bridge` and `interface` is needed here
    :3:36: error: hubs.A.uplink: found a number, expected a word, or a mapping with `tap`, `bridge` or `interface`
    "
    );
}
