//! Linux: a keyfile of NetworkManager-l2tp for a desktop, and the files of strongSwan, xl2tpd and pppd for a machine
//! without one.

use super::{Account, Artifact, Profile, base64, file_name, uuid};
use std::fmt::Write as _;

/// What every supported gateway policy has one of; strongSwan's own defaults lack what L2TP servers usually know.
const IKE: &str = "aes256-sha256-modp2048,aes128-sha256-modp2048,aes256-sha1-modp2048,aes128-sha1-modp2048!";
const ESP: &str = "aes256-sha256,aes128-sha256,aes256-sha1,aes128-sha1!";

pub(super) fn profile(account: &Account) -> Profile {
    let note = |text: &str| text.to_owned();
    let files = vec![
        Artifact {
            file: file_name(account, "nmconnection"),
            content: keyfile(account),
            note: note(
                "/etc/NetworkManager/system-connections/ (root, mode 0600), then: nmcli connection reload",
            ),
        },
        Artifact {
            file: "ipsec.conf".to_owned(),
            content: ipsec_conf(account),
            note: note("/etc/ipsec.conf"),
        },
        Artifact {
            file: "ipsec.secrets".to_owned(),
            content: ipsec_secrets(account),
            note: note("/etc/ipsec.secrets (mode 0600)"),
        },
        Artifact {
            file: "xl2tpd.conf".to_owned(),
            content: xl2tpd_conf(account),
            note: note("/etc/xl2tpd/xl2tpd.conf"),
        },
        Artifact {
            file: format!("options.{}", word(&account.name)),
            content: ppp_options(account),
            note: note("/etc/ppp/ (mode 0600)"),
        },
    ];
    let name = word(&account.name);
    let mut steps = format!(
        "With NetworkManager and its plug-in for L2TP (Debian: network-manager-l2tp): the .nmconnection, then\n  \
           nmcli connection up {}\n\
         By hand (strongSwan, xl2tpd): the other files, then\n  \
           ipsec restart; sleep 2; ipsec up {name}; xl2tpd; echo 'c {name}' > /var/run/xl2tpd/l2tp-control\n",
        shell_quoted(&account.name),
    );
    for route in &account.routes {
        let _ = writeln!(steps, "  ip route add {route} dev ppp0");
    }
    Profile { files, steps }
}

fn keyfile(account: &Account) -> String {
    let Account { name, server, psk, user, password, routes, .. } = account;
    let mut text = format!(
        "[connection]\nid={}\nuuid={}\ntype=vpn\nautoconnect=false\n\n\
         [vpn]\ngateway={}\nipsec-enabled=yes\nipsec-psk=0s{}\nmachine-auth-type=psk\nuser={}\n\
         password-flags={}\nuser-auth-type=password\nservice-type=org.freedesktop.NetworkManager.l2tp\n",
        keyfile_value(name),
        uuid(account, "nm"),
        keyfile_value(server),
        base64(psk.as_bytes()),
        keyfile_value(user),
        // Kept in this file, or asked for.
        if password.is_some() { 0 } else { 2 },
    );
    if let Some(password) = password {
        let _ = write!(text, "\n[vpn-secrets]\npassword={}\n", keyfile_value(password));
    }
    text.push_str("\n[ipv4]\nmethod=auto\n");
    if !routes.is_empty() {
        text.push_str("never-default=true\n");
        for (number, route) in (1..).zip(routes) {
            let _ = writeln!(text, "route{number}={route}");
        }
    }
    text.push_str("\n[ipv6]\nmethod=auto\n");
    text
}

/// GLib's key files: a backslash is an escape, and blanks at the front are lost without one.
fn keyfile_value(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t");
    let blanks = escaped.len() - escaped.trim_start_matches(' ').len();
    format!("{}{}", "\\s".repeat(blanks), &escaped[blanks..])
}

fn ipsec_conf(account: &Account) -> String {
    format!(
        "# strongSwan: /etc/ipsec.conf\n\
         conn {}\n  keyexchange=ikev1\n  authby=secret\n  type=transport\n  left=%defaultroute\n  leftprotoport=17/1701\n  \
         right={}\n  rightid=%any\n  rightprotoport=17/1701\n  ike={IKE}\n  esp={ESP}\n  dpdaction=clear\n  dpddelay=30s\n  \
         keyingtries=1\n  auto=add\n",
        word(&account.name),
        account.server,
    )
}

fn ipsec_secrets(account: &Account) -> String {
    // In base64: between quotes there could be no quote.
    format!("# strongSwan: /etc/ipsec.secrets\n%any %any : PSK 0s{}\n", base64(account.psk.as_bytes()))
}

fn xl2tpd_conf(account: &Account) -> String {
    let name = word(&account.name);
    format!(
        "; xl2tpd: /etc/xl2tpd/xl2tpd.conf\n[global]\nport = 1701\n\n[lac {name}]\nlns = {}\npppoptfile = /etc/ppp/options.{name}\n\
         length bit = yes\nredial = no\n",
        account.server,
    )
}

fn ppp_options(account: &Account) -> String {
    let mut text = String::from(
        "ipcp-accept-local\nipcp-accept-remote\nrefuse-eap\nnoccp\nnoauth\nmtu 1400\nmru 1400\nnodefaultroute\nusepeerdns\n\
         lcp-echo-interval 30\nlcp-echo-failure 4\n",
    );
    let _ = writeln!(text, "name {}", ppp_quoted(&account.user));
    match &account.password {
        Some(password) => {
            let _ = writeln!(text, "password {}", ppp_quoted(password));
        }
        None => text.push_str("# password \"...\"\n"),
    }
    text
}

/// A word of pppd's options: between double quotes a backslash takes the next character as it is.
fn ppp_quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name of the one word that these files want.
fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
