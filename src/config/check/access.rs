//! Rules of access lists: names that exist, and conditions that can be true together.

use super::{Check, Path, model, nearest, same_name, schema};
use crate::config::access::AccessRule;
use crate::hub::access::{Action, Carries, Net, Rule, Side};
use crate::identity::folded;
use crate::penalty::Prefix;
use crate::wire::inet::Network;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// As many as other products take, and more than anybody can read.
const MOST_RULES: usize = 32_768;

impl Check<'_> {
    pub(super) fn access_list(
        &mut self,
        path: &Path,
        hub: &schema::Hub,
        users: &[model::User],
    ) -> Arc<[Rule]> {
        if hub.access_list.len() > MOST_RULES {
            self.error(path, format!("there are more than {MOST_RULES} rules"), None);
        }
        let rules = hub.access_list.iter().enumerate();
        rules.map(|(at, rule)| self.access_rule(&path.index(at), rule, hub, users)).collect()
    }

    fn access_rule(
        &mut self,
        path: &Path,
        rule: &AccessRule,
        hub: &schema::Hub,
        users: &[model::User],
    ) -> Rule {
        let carries = rule.protocol.map(|protocol| protocol.0);
        let of = |number: u8| matches!(carries, Some(Carries::Protocol(own)) if own == number);
        let ports = [("from_port", rule.from_port), ("to_port", rule.to_port)];
        for (key, _) in ports.into_iter().filter(|(_, port)| port.is_some()) {
            if !of(6) && !of(17) {
                let hint = Some("protocol: tcp, or protocol: udp");
                self.error(&path.key(key), "only TCP and UDP have ports".to_owned(), hint);
            }
        }
        if rule.established && !of(6) {
            let hint = Some("protocol: tcp");
            self.error(&path.key("established"), "only TCP has connections".to_owned(), hint);
        }
        for (key, prefix) in [("from", rule.from), ("to", rule.to)] {
            let Some(prefix) = prefix else { continue };
            let never = match carries {
                Some(Carries::Arp) => true,
                Some(Carries::Ipv4) => !prefix.is_ipv4(),
                Some(Carries::Ipv6) => prefix.is_ipv4(),
                _ => rule.from.is_some_and(|from| from.is_ipv4() != prefix.is_ipv4()),
            };
            if never {
                let hint = Some("one rule is about IPv4 or about IPv6");
                self.error(
                    &path.key(key),
                    "this and the rest of the rule are never true together".to_owned(),
                    hint,
                );
            }
        }
        let sender = self.who(path, ["user", "group"], [&rule.user, &rule.group], hub, users);
        let receiver = self.who(path, ["to_user", "to_group"], [&rule.to_user, &rule.to_group], hub, users);
        let side = |users, mac, net: Option<Prefix>, ports: Option<crate::config::access::PortRange>| Side {
            users,
            mac,
            net: net.map(net_of),
            ports: ports.map(|ports| ports.0),
        };
        Rule {
            action: rule.action,
            carries,
            established: rule.established,
            from: side(sender, rule.from_mac, rule.from, rule.from_port),
            to: side(receiver, rule.to_mac, rule.to, rule.to_port),
            text: text(rule).into(),
        }
    }

    /// The users that a rule is about.
    fn who(
        &mut self,
        path: &Path,
        keys: [&str; 2],
        [user, group]: [&Option<String>; 2],
        hub: &schema::Hub,
        users: &[model::User],
    ) -> Option<BTreeSet<Box<str>>> {
        if let (Some(_), Some(_)) = (user, group) {
            let message = format!("beside `{}` this says nothing", keys[0]);
            self.error(&path.key(keys[1]), message, Some("name the user or the group"));
        }
        let missing = |name: &str, names: &mut dyn Iterator<Item = &str>, what: &str| {
            let hint = nearest(name, names).map(|near| format!("did you mean `{near}`?"));
            (format!("there is no {what} `{name}` in this hub"), hint)
        };
        if let Some(name) = user {
            if !hub.users.keys().any(|known| same_name(known, name)) {
                let (message, hint) = missing(name, &mut hub.users.keys().map(String::as_str), "user");
                self.error(&path.key(keys[0]), message, hint.as_deref());
            }
            return Some([folded(name).into()].into());
        }
        let name = group.as_deref()?;
        if !hub.groups.keys().any(|known| same_name(known, name)) {
            let (message, hint) = missing(name, &mut hub.groups.keys().map(String::as_str), "group");
            self.error(&path.key(keys[1]), message, hint.as_deref());
        }
        let members =
            users.iter().filter(|user| user.group.as_deref().is_some_and(|own| same_name(own, name)));
        Some(members.map(|user| folded(&user.name).into()).collect())
    }
}

fn net_of(prefix: Prefix) -> Net {
    match prefix.first() {
        IpAddr::V4(address) => Net::V4(Network { address, prefix: prefix.length() }),
        IpAddr::V6(address) => Net::V6(address, prefix.length()),
    }
}

/// The rule in one line, for listings.
fn text(rule: &AccessRule) -> String {
    let mut words = vec![match rule.action {
        Action::Pass => "pass".to_owned(),
        Action::Discard => "discard".to_owned(),
    }];
    let mut say =
        |key: &str, value: Option<String>| words.extend(value.map(|value| format!("{key} {value}")));
    say("user", rule.user.clone());
    say("group", rule.group.clone());
    say("from_mac", rule.from_mac.map(|mac| mac.to_string()));
    say("from", rule.from.map(|prefix| prefix.to_string()));
    say("from_port", rule.from_port.map(|ports| ports.text()));
    say("to_user", rule.to_user.clone());
    say("to_group", rule.to_group.clone());
    say("to_mac", rule.to_mac.map(|mac| mac.to_string()));
    say("to", rule.to.map(|prefix| prefix.to_string()));
    say("to_port", rule.to_port.map(|ports| ports.text()));
    say("protocol", rule.protocol.map(|protocol| protocol.text()));
    words.extend(rule.established.then(|| "established".to_owned()));
    words.join(" ")
}
