//! Rules of others in the kernel's packet filter that drop what ours accepts, read from `nft -j list ruleset`.
//!
//! A packet that one table accepts still passes all others of the same hook; one drop is the end of it. What a rule does
//! to a packet cannot be computed from its text in general, so this names what drops by default and nobody lets us
//! through, and what drops our packets by name.

use super::Line;
use serde_json::Value;
use std::collections::BTreeSet;

/// What our packets look like.
#[derive(Clone, Debug, Default)]
pub struct Ours {
    /// The name of our table begins so.
    pub table_prefix: &'static str,
    /// UDP ports that must be reachable from outside.
    pub ports: Vec<u16>,
    /// Interfaces of hubs whose traffic is forwarded.
    pub taps: Vec<String>,
    /// The networks of those hubs.
    pub networks: Vec<String>,
}

const CHECK: &str = "packet filter";

/// The complaints; one line that all is well when there are none.
#[must_use]
pub fn judge(ruleset: &Value, ours: &Ours) -> Vec<Line> {
    let objects = ruleset.get("nftables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let rules: Vec<&Value> = objects.iter().filter_map(|object| object.get("rule")).collect();
    let mut lines = Vec::new();
    for chain in objects.iter().filter_map(|object| object.get("chain")) {
        let (table, name) = (text(chain, "table"), text(chain, "name"));
        let family = text(chain, "family");
        if table.starts_with(ours.table_prefix) || !matches!(family, "ip" | "inet") {
            continue;
        }
        let of_chain: Vec<&Value> = reachable(&rules, family, table, name);
        let closed = text(chain, "policy") == "drop" || of_chain.iter().any(|rule| ends_in_drop(rule));
        match text(chain, "hook") {
            "input" => lines.extend(input(table, name, closed, &of_chain, ours)),
            "forward" => lines.extend(forward(table, name, closed, &of_chain, ours)),
            _ => {}
        }
    }
    if lines.is_empty() {
        lines.push(Line::ok(CHECK, "no table of others is in the way"));
    }
    lines
}

fn input(table: &str, chain: &str, closed: bool, rules: &[&Value], ours: &Ours) -> Vec<Line> {
    let mut lines = Vec::new();
    let named = |rule: &Value, port: u16| {
        numbers(rule, "dport").iter().any(|(low, high)| (*low..=*high).contains(&port))
    };
    let shut: Vec<String> = ours
        .ports
        .iter()
        .filter(|port| rules.iter().any(|rule| drops(rule) && named(rule, **port)))
        .map(u16::to_string)
        .collect();
    if !shut.is_empty() {
        lines.push(Line::fail(
            CHECK,
            format!("table {table}, chain {chain} has a rule that drops UDP {}", shut.join(", ")),
            format!("nft -a list chain inet {table} {chain} shows its handle; nft delete rule takes it away"),
        ));
    }
    // Without a condition at all, everything is accepted.
    let open = rules.iter().any(|rule| accepts(rule) && conditions(rule) == 0);
    let missing: Vec<String> = ours
        .ports
        .iter()
        .filter(|port| !rules.iter().any(|rule| accepts(rule) && named(rule, **port)))
        .map(u16::to_string)
        .collect();
    if closed && !open && !missing.is_empty() && shut.is_empty() {
        lines.push(Line::warn(
            CHECK,
            format!(
                "table {table}, chain {chain} drops what it is not told to accept, and nothing in it names UDP {}",
                missing.join(", ")
            ),
            open_ports(table, chain, &missing),
        ));
    }
    lines
}

fn open_ports(table: &str, chain: &str, ports: &[String]) -> String {
    match table {
        "firewalld" => ports
            .iter()
            .map(|port| format!("firewall-cmd --permanent --add-port={port}/udp"))
            .chain(["firewall-cmd --reload".to_owned()])
            .collect::<Vec<_>>()
            .join("; "),
        "filter" if chain == "INPUT" => format!(
            "iptables -I INPUT -p udp -m multiport --dports {} -j ACCEPT (with ufw: ufw allow {}/udp)",
            ports.join(","),
            ports.join(",")
        ),
        _ => format!("nft insert rule inet {table} {chain} udp dport '{{ {} }}' accept", ports.join(", ")),
    }
}

fn forward(table: &str, chain: &str, closed: bool, rules: &[&Value], ours: &Ours) -> Vec<Line> {
    let mut lines = Vec::new();
    if ours.taps.is_empty() {
        return lines;
    }
    let about_us = |rule: &Value| {
        let words = words(rule);
        ours.taps.iter().chain(&ours.networks).any(|ours| words.contains(ours.as_str()))
    };
    if rules.iter().any(|rule| drops(rule) && about_us(rule)) {
        lines.push(Line::fail(
            CHECK,
            format!("table {table}, chain {chain} has a rule that drops what clients send through this host"),
            format!("nft -a list chain inet {table} {chain} shows its handle; nft delete rule takes it away"),
        ));
    }
    let open = rules.iter().any(|rule| accepts(rule) && (conditions(rule) == 0 || about_us(rule)));
    if closed && !open {
        let tap = ours.taps.first().map_or("TAP", String::as_str);
        let remedy = match table {
            "filter" if chain == "FORWARD" => format!(
                "iptables -I FORWARD -i {tap} -j ACCEPT; iptables -I FORWARD -o {tap} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
            ),
            "firewalld" => format!(
                "firewall-cmd --permanent --zone=trusted --add-interface={tap}; firewall-cmd --reload"
            ),
            _ => format!(
                "nft insert rule inet {table} {chain} iifname {tap} accept; nft insert rule inet {table} {chain} oifname {tap} ct state established,related accept"
            ),
        };
        lines.push(Line::warn(
            CHECK,
            format!(
                "table {table}, chain {chain} drops what it is not told to forward, clients' traffic too"
            ),
            remedy,
        ));
    }
    lines
}

/// The rules of a chain and of those that it jumps to.
fn reachable<'a>(rules: &[&'a Value], family: &str, table: &str, chain: &str) -> Vec<&'a Value> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut open = vec![chain.to_owned()];
    while let Some(chain) = open.pop() {
        if !seen.insert(chain.clone()) {
            continue;
        }
        for rule in rules {
            if text(rule, "family") == family && text(rule, "table") == table && text(rule, "chain") == chain
            {
                found.push(*rule);
                let statements = rule.get("expr").and_then(Value::as_array).into_iter().flatten();
                open.extend(statements.filter_map(|statement| {
                    let jump = statement.get("jump").or_else(|| statement.get("goto"))?;
                    Some(text(jump, "target").to_owned())
                }));
            }
        }
    }
    found
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn has(rule: &Value, statement: &str) -> bool {
    let statements = rule.get("expr").and_then(Value::as_array);
    statements.is_some_and(|list| list.iter().any(|one| one.get(statement).is_some()))
}

fn drops(rule: &Value) -> bool {
    has(rule, "drop") || has(rule, "reject")
}

fn accepts(rule: &Value) -> bool {
    has(rule, "accept")
}

fn ends_in_drop(rule: &Value) -> bool {
    drops(rule) && conditions(rule) == 0
}

fn conditions(rule: &Value) -> usize {
    let statements = rule.get("expr").and_then(Value::as_array);
    // What iptables' own matches are called in nftables.
    statements.map_or(0, |list| {
        list.iter().filter(|one| ["match", "xt", "limit"].iter().any(|key| one.get(key).is_some())).count()
    })
}

/// The numbers that a rule compares this field with, as ranges.
fn numbers(rule: &Value, field: &str) -> Vec<(u16, u16)> {
    let mut found = Vec::new();
    let statements = rule.get("expr").and_then(Value::as_array).into_iter().flatten();
    for compare in statements.filter_map(|statement| statement.get("match")) {
        let left = compare.get("left").and_then(|left| left.get("payload"));
        if left.is_some_and(|payload| text(payload, "field") == field && text(payload, "protocol") != "tcp") {
            ranges(compare.get("right").unwrap_or(&Value::Null), &mut found);
        }
    }
    found
}

fn ranges(value: &Value, found: &mut Vec<(u16, u16)>) {
    let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    if let Some(port) = number(value) {
        found.push((port, port));
    } else if let Some([low, high]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        found.extend(number(low).zip(number(high)));
    } else if let Some(set) = value.get("set").and_then(Value::as_array) {
        set.iter().for_each(|item| ranges(item, found));
    } else if let Some(list) = value.as_array() {
        list.iter().for_each(|item| ranges(item, found));
    }
}

/// Every text that a rule compares with, networks as `10.0.0.0/8`.
fn words(rule: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        if let Some(prefix) = value.get("prefix") {
            let length = prefix.get("len").and_then(Value::as_u64).unwrap_or_default();
            found.insert(format!("{}/{length}", text(prefix, "addr")));
        }
        match value {
            Value::String(word) => {
                found.insert(word.clone());
            }
            Value::Array(list) => list.iter().for_each(|item| walk(item, found)),
            Value::Object(map) => map.values().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    let statements = rule.get("expr").and_then(Value::as_array).into_iter().flatten();
    for compare in statements.filter_map(|statement| statement.get("match")) {
        walk(compare.get("right").unwrap_or(&Value::Null), &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::json;

    fn ours() -> Ours {
        Ours {
            table_prefix: "sekisho_",
            ports: vec![500, 4500],
            taps: vec!["sk0".to_owned()],
            networks: vec!["10.60.0.0/24".to_owned()],
        }
    }

    fn chain(table: &str, name: &str, hook: &str, policy: &str) -> Value {
        json!({"chain": {"family": "inet", "table": table, "name": name, "hook": hook, "policy": policy}})
    }

    fn rule(table: &str, chain: &str, expr: Value) -> Value {
        json!({"rule": {"family": "inet", "table": table, "chain": chain, "expr": expr}})
    }

    fn dport(right: Value) -> Value {
        json!({"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": right}})
    }

    fn verdicts(objects: Vec<Value>) -> Vec<(State, String)> {
        judge(&json!({"nftables": objects}), &ours()).into_iter().map(|l| (l.state, l.found)).collect()
    }

    #[test]
    fn an_open_filter_and_our_own_table_earn_no_complaint() {
        assert_eq!(verdicts(vec![]), [(State::Ok, "no table of others is in the way".to_owned())]);
        let own = vec![chain("sekisho_1", "forward", "forward", "drop"), chain("f", "in", "input", "accept")];
        assert_eq!(verdicts(own)[0].0, State::Ok);
    }

    #[test]
    fn a_closed_input_must_name_our_ports() {
        let closed = || chain("filter", "INPUT", "input", "drop");
        let found = verdicts(vec![closed()]);
        assert_eq!(found[0].0, State::Warn);
        assert!(found[0].1.contains("500, 4500"), "{}", found[0].1);
        for right in [
            json!({"set": [500, 4500]}),
            json!({"range": [400, 5000]}),
            json!({"set": [500, {"range": [4500, 4501]}]}),
        ] {
            let open = rule("filter", "INPUT", json!([dport(right), {"accept": null}]));
            assert_eq!(verdicts(vec![closed(), open])[0].0, State::Ok);
        }
        // In a chain that it jumps to.
        let jump = rule("filter", "INPUT", json!([{"jump": {"target": "vpn"}}]));
        let open = rule("filter", "vpn", json!([dport(json!({"set": [500, 4500]})), {"accept": null}]));
        assert_eq!(verdicts(vec![closed(), jump, open.clone()])[0].0, State::Ok);
        assert_eq!(verdicts(vec![closed(), open])[0].0, State::Warn, "nobody jumps there");
        let half = rule("filter", "INPUT", json!([dport(json!(500)), {"accept": null}]));
        assert!(verdicts(vec![closed(), half])[0].1.ends_with("UDP 4500"));
    }

    #[test]
    fn a_rule_that_drops_our_ports_is_named_whatever_the_policy() {
        let shut = rule("mine", "in", json!([dport(json!(4500)), {"drop": null}]));
        let found = verdicts(vec![chain("mine", "in", "input", "accept"), shut]);
        assert_eq!(found, [(State::Fail, "table mine, chain in has a rule that drops UDP 4500".to_owned())]);
    }

    #[test]
    fn forwarding_that_is_closed_to_clients_is_named() {
        let closed = || chain("filter", "FORWARD", "forward", "drop");
        assert_eq!(verdicts(vec![closed()])[0].0, State::Warn);
        let interface = json!({"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "sk0"}});
        let open = rule("filter", "FORWARD", json!([interface, {"accept": null}]));
        assert_eq!(verdicts(vec![closed(), open])[0].0, State::Ok);
        let network = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
            "right": {"prefix": {"addr": "10.60.0.0", "len": 24}}}});
        let shut = rule("mine", "fwd", json!([network, {"drop": null}]));
        assert_eq!(verdicts(vec![chain("mine", "fwd", "forward", "accept"), shut])[0].0, State::Fail);
        // A rule without conditions at the end closes a chain as its policy would.
        let end = rule("mine", "fwd", json!([{"drop": null}]));
        assert_eq!(verdicts(vec![chain("mine", "fwd", "forward", "accept"), end])[0].0, State::Warn);
    }
}
