//! Our table in the kernel's packet filter.
//!
//! `nft list table inet sekisho_…` shows it with a comment at each rule. It is made, replaced and removed as a whole, in
//! one transaction. An `accept` here does not overrule a `drop` in somebody else's table: see [`in_the_way`].

use super::{NatHub, SetupError};
use crate::config::Network;
use nftables::{
    batch::Batch,
    expr::{
        CT, Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField, Prefix, RT, RTKey, TcpOption,
    },
    schema::{Chain, NfListObject, NfObject, Nftables, Rule, Table},
    stmt::{self, Mangle, Match, NAT, NATFamily, Operator, Statement},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};
use std::{
    borrow::Cow,
    io::{self, Write},
    process::{Child, Command, Stdio},
};

const FORWARD: &str = "forward";
const PREROUTING: &str = "prerouting";
const POSTROUTING: &str = "postrouting";

/// The table for these hubs. `opened`: interfaces that did not forward before us.
pub(super) fn table(name: &str, hubs: &[NatHub], opened: &[String]) -> Nftables<'static> {
    let mut batch = Batch::new();
    // Adding what exists is no error, so this deletes an older table if there is one.
    batch.add(table_object(name));
    batch.delete(table_object(name));
    batch.add(table_object(name));
    for (chain, kind, hook, priority) in [
        (FORWARD, NfChainType::Filter, NfHook::Forward, 0),
        (PREROUTING, NfChainType::NAT, NfHook::Prerouting, -100),
        (POSTROUTING, NfChainType::NAT, NfHook::Postrouting, 100),
    ] {
        batch.add(NfListObject::Chain(Chain {
            family: NfFamily::INet,
            table: name.to_owned().into(),
            name: chain.into(),
            _type: Some(kind),
            hook: Some(hook),
            prio: Some(priority),
            policy: Some(NfChainPolicy::Accept),
            ..Chain::default()
        }));
    }
    let mut rule = |chain: &'static str, comment: &str, expr: Vec<Statement<'static>>| {
        batch.add(NfListObject::Rule(Rule {
            family: NfFamily::INet,
            table: name.to_owned().into(),
            chain: chain.into(),
            expr: expr.into(),
            comment: Some(comment.to_owned().into()),
            ..Rule::default()
        }));
    };

    let taps: Vec<&str> = hubs.iter().map(|hub| hub.tap.as_str()).collect();
    if !opened.is_empty() {
        let opened: Vec<&str> = opened.iter().map(String::as_str).collect();
        let for_others =
            || vec![equal(interface_in(), one_of(&opened)), not_equal(interface_out(), one_of(&taps))];
        // Whoever forwards ports through these interfaces since then (containers) means it.
        let expr = [for_others(), vec![has(connection("status"), "dnat"), accept()]].concat();
        rule(FORWARD, "port forwardings of others", expr);
        let expr = [for_others(), vec![has(connection("state"), "new"), drop_it()]].concat();
        rule(FORWARD, "without Sekisho, these interfaces forward nothing", expr);
    }
    for hub in hubs {
        let others: Vec<&str> = taps.iter().copied().filter(|tap| *tap != hub.tap).collect();
        if !others.is_empty() {
            let expr = vec![
                equal(interface_in(), text(&hub.tap)),
                equal(interface_out(), one_of(&others)),
                drop_it(),
            ];
            rule(FORWARD, "hubs are apart", expr);
        }
        let own = network(hub.network);
        let expr = vec![equal(interface_in(), text(&hub.tap)), not_equal(ip("saddr"), own), drop_it()];
        rule(FORWARD, "addresses of the hub only", expr);
    }
    let expr =
        vec![equal(interface_in(), one_of(&taps)), equal(meta(MetaKey::Nfproto), text("ipv6")), drop_it()];
    rule(FORWARD, "no IPv6 through this uplink", expr);
    for interface in [interface_in(), interface_out()] {
        let expr = vec![equal(interface, one_of(&taps)), has(tcp("flags"), "syn"), clamp_segments()];
        rule(FORWARD, "TCP segments that fit the way", expr);
    }
    let expr = vec![equal(interface_in(), one_of(&taps)), accept()];
    rule(FORWARD, "clients reach the world", expr);
    let known = Expression::List(vec![text("established"), text("related")]);
    let expr = vec![equal(interface_out(), one_of(&taps)), contains(connection("state"), known), accept()];
    rule(FORWARD, "and its answers them", expr);
    let expr = vec![equal(interface_out(), one_of(&taps)), drop_it()];
    rule(FORWARD, "nothing unasked", expr);

    for hub in hubs {
        let expr = vec![
            equal(ip("saddr"), network(hub.network)),
            not_equal(interface_out(), text(&hub.tap)),
            Statement::Masquerade(None),
        ];
        rule(POSTROUTING, &format!("hub {}", hub.hub), expr);
        let Some(server) = hub.name_server else { continue };
        for protocol in ["udp", "tcp"] {
            let expr = vec![
                equal(interface_in(), text(&hub.tap)),
                equal(ip("daddr"), text(&hub.gateway.to_string())),
                equal(field(protocol, "dport"), Expression::Number(53)),
                Statement::DNAT(Some(NAT {
                    addr: Some(text(&server.to_string())),
                    family: Some(NATFamily::IP),
                    port: None,
                    flags: None,
                })),
            ];
            rule(PREROUTING, &format!("DNS of hub {}", hub.hub), expr);
        }
    }
    batch.to_nftables()
}

/// Hands the table to the kernel.
pub(super) fn apply(table: &Nftables<'_>) -> Result<(), SetupError> {
    let text = serde_json::to_vec(table).map_err(|error| SetupError::Rules(error.to_string()))?;
    nft(&["-j", "-f", "-"], &text).map(|_| ())
}

/// Removes the table; returns whether it was there.
pub(super) fn remove(name: &str) -> bool {
    let mut batch = Batch::new();
    batch.delete(table_object(name));
    apply(&batch.to_nftables()).is_ok()
}

/// Runs `nft` and returns what it prints. The `nftables` crate's own runner lets error messages pass by; ours keeps them.
fn nft(arguments: &[&str], input: &[u8]) -> Result<String, SetupError> {
    // A user's PATH (rights by `setcap`) often lacks the directories of system programs.
    let places = ["nft", "/usr/sbin/nft", "/sbin/nft"];
    let start = |program| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let absent = |started: &io::Result<Child>| {
        started.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let started = places.into_iter().map(start).find(|started| !absent(started)).ok_or(SetupError::NoNft)?;
    let broken = |error: io::Error| SetupError::Rules(error.to_string());
    let mut child = started.map_err(broken)?;
    if let Some(mut stdin) = child.stdin.take() {
        // When it stops reading early, its message says why.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(broken)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SetupError::Rules(if said.is_empty() { output.status.to_string() } else { said }))
}

/// Everything in the packet filter.
pub(super) fn ruleset() -> Result<serde_json::Value, SetupError> {
    let json = nft(&["-j", "list", "ruleset"], &[])?;
    serde_json::from_str(&json).map_err(|error| SetupError::Rules(error.to_string()))
}

/// Chains of others that forward nothing unless they are told to: what ours accepts ends there (Docker and firewalls make
/// such). One line for each, with the remedy.
pub(super) fn in_the_way(ours: &str, hubs: &[NatHub]) -> Vec<String> {
    let chains = nft(&["-j", "list", "chains"], &[]).ok();
    let chains = chains.and_then(|json| serde_json::from_str::<Nftables<'_>>(&json).ok());
    let objects = chains.iter().flat_map(|chains| chains.objects.iter());
    objects.filter_map(|object| closed_chain(object, ours, hubs)).collect()
}

fn closed_chain(object: &NfObject<'_>, ours: &str, hubs: &[NatHub]) -> Option<String> {
    let NfObject::ListObject(NfListObject::Chain(chain)) = object else { return None };
    let closed = chain.hook == Some(NfHook::Forward)
        && chain.policy == Some(NfChainPolicy::Drop)
        && chain.table != ours
        && matches!(chain.family, NfFamily::IP | NfFamily::INet);
    if !closed {
        return None;
    }
    let tap = hubs.first().map_or("TAP", |hub| hub.tap.as_str());
    let remedy = if chain.table == "filter" && chain.name == "FORWARD" {
        format!(
            "iptables -I FORWARD -i {tap} -j ACCEPT; iptables -I FORWARD -o {tap} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
        )
    } else {
        format!("let it accept what comes in on {tap}, and the answers")
    };
    Some(format!(
        "the packet filter's chain {} of table {} drops what it is not told to forward, clients' traffic too; unless a rule there \
         allows it: {remedy}",
        chain.name, chain.table
    ))
}

fn table_object(name: &str) -> NfListObject<'static> {
    NfListObject::Table(Table { family: NfFamily::INet, name: name.to_owned().into(), handle: None })
}

fn compare(left: Expression<'static>, op: Operator, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op })
}

fn equal(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    compare(left, Operator::EQ, right)
}

fn not_equal(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    compare(left, Operator::NEQ, right)
}

fn contains(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    compare(left, Operator::IN, right)
}

fn has(left: Expression<'static>, flag: &'static str) -> Statement<'static> {
    contains(left, text(flag))
}

fn text(text: &str) -> Expression<'static> {
    Expression::String(Cow::Owned(text.to_owned()))
}

/// One value, or a set of them.
fn one_of(values: &[&str]) -> Expression<'static> {
    match values {
        [only] => text(only),
        _ => {
            let items = values.iter().map(|value| nftables::expr::SetItem::Element(text(value))).collect();
            Expression::Named(NamedExpression::Set(items))
        }
    }
}

fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

fn interface_in() -> Expression<'static> {
    meta(MetaKey::Iifname)
}

fn interface_out() -> Expression<'static> {
    meta(MetaKey::Oifname)
}

fn connection(key: &'static str) -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT { key: key.into(), family: None, dir: None }))
}

fn field(protocol: &'static str, name: &'static str) -> Expression<'static> {
    let field = PayloadField { protocol: protocol.into(), field: name.into() };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

fn ip(name: &'static str) -> Expression<'static> {
    field("ip", name)
}

fn tcp(name: &'static str) -> Expression<'static> {
    field("tcp", name)
}

fn network(network: Network) -> Expression<'static> {
    let addr = Box::new(text(&network.address().to_string()));
    Expression::Named(NamedExpression::Prefix(Prefix { addr, len: u32::from(network.prefix()) }))
}

fn clamp_segments() -> Statement<'static> {
    let size = TcpOption { name: "maxseg".into(), field: Some("size".into()) };
    Statement::Mangle(Mangle {
        key: Expression::Named(NamedExpression::TcpOption(size)),
        value: Expression::Named(NamedExpression::RT(RT { key: RTKey::MTU, family: None })),
    })
}

fn accept() -> Statement<'static> {
    Statement::Accept(Some(stmt::Accept {}))
}

fn drop_it() -> Statement<'static> {
    Statement::Drop(Some(stmt::Drop {}))
}
