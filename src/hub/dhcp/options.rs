//! The replies and their options. Order matters: the type comes first (Apple's client looks nowhere else), then what a
//! client cannot do without, because the last ones may not fit.

use super::{Asker, Context, Refusal, Route};
use crate::wire::dhcp::{Code, Message, MessageType, classless_routes, domain_search};
use crate::wire::inet::Network;
use std::net::Ipv4Addr;
use std::time::Duration;

/// DHCPOFFER.
pub(super) fn offer(cx: &Context<'_>, request: &Message, address: Ipv4Addr) -> Message {
    with_address(cx, request, MessageType::OFFER, address)
}

/// DHCPACK to a DHCPREQUEST.
pub(super) fn ack(cx: &Context<'_>, request: &Message, address: Ipv4Addr) -> Message {
    let mut reply = with_address(cx, request, MessageType::ACK, address);
    reply.ciaddr = request.ciaddr;
    reply
}

fn with_address(cx: &Context<'_>, request: &Message, kind: MessageType, address: Ipv4Addr) -> Message {
    let mut reply = begin(cx.server, request, kind);
    reply.yiaddr = address;
    let lease = cx.pool.settings().lease;
    // RFC 2131 section 4.4.5.
    for (code, time) in
        [(Code::LEASE_TIME, lease), (Code::RENEWAL_TIME, lease / 2), (Code::REBINDING_TIME, lease * 7 / 8)]
    {
        push_time(&mut reply, code, time);
    }
    parameters(cx, request, false, &mut reply);
    reply
}

/// DHCPACK to a DHCPINFORM: no address, no times (RFC 2131 section 4.3.5).
pub(super) fn inform(cx: &Context<'_>, asker: Asker, request: &Message) -> Message {
    let mut reply = begin(cx.server, request, MessageType::ACK);
    // Whatever it claims, it is answered where it is.
    reply.ciaddr = asker.source;
    parameters(cx, request, asker.link, &mut reply);
    reply
}

/// DHCPNAK, always by broadcast (RFC 2131 section 4.3.2).
pub(super) fn nak(server: Ipv4Addr, request: &Message, why: &Refusal) -> Message {
    let mut reply = begin(server, request, MessageType::NAK);
    reply.push(Code::MESSAGE, why.to_string().as_bytes());
    echo_client_id(request, &mut reply);
    reply
}

fn begin(server: Ipv4Addr, request: &Message, kind: MessageType) -> Message {
    let mut reply = request.reply();
    reply.push(Code::MESSAGE_TYPE, &[kind.0]);
    reply.push(Code::SERVER_ID, &server.octets());
    reply
}

/// RFC 6842: the client's identifier comes back.
fn echo_client_id(request: &Message, reply: &mut Message) {
    if let Some(id) = request.option(Code::CLIENT_ID) {
        reply.push(Code::CLIENT_ID, id);
    }
}

fn push_time(reply: &mut Message, code: Code, time: Duration) {
    reply.push(code, &u32::try_from(time.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
}

/// What the client asked for, as far as there is something to say.
fn parameters(cx: &Context<'_>, request: &Message, link: bool, reply: &mut Message) {
    let settings = cx.settings;
    let leases = cx.pool.settings();
    let router = leases.gateway.filter(|_| settings.router && !link);
    let routes = routes(cx.routes, leases.gateway, router);
    let text = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
    let table = [
        (Code::ROUTER, addresses(router.as_slice())),
        (Code::DNS, addresses(&settings.dns)),
        (Code::DOMAIN, text(&settings.domain)),
        // Microsoft's number first: Apple's client knows no other.
        (Code::MS_CLASSLESS_ROUTES, routes.clone()),
        (Code::CLASSLESS_ROUTES, routes),
        (Code::DOMAIN_SEARCH, domain_search(settings.search.iter().map(String::as_str))),
        (Code::NTP, addresses(&settings.ntp)),
        (Code::WINS, addresses(&settings.wins)),
        (Code::NETBIOS_NODE_TYPE, settings.netbios_node_type.into_iter().collect()),
        (Code::NETBIOS_SCOPE, text(&settings.netbios_scope)),
        (Code::WPAD, text(&settings.wpad)),
    ];
    // Apple's client ignores an answer without the mask, so it is sent unasked.
    reply.push(Code::SUBNET_MASK, &leases.network.mask().octets());
    let asked = request.option(Code::PARAMETER_LIST);
    // Who asks for nothing in particular gets everything, but the routes once and by the standard's number.
    let wanted = |code: Code| asked.map_or(code != Code::MS_CLASSLESS_ROUTES, |list| list.contains(&code.0));
    let replaced = |code: Code| settings.raw.iter().any(|raw| raw.code == code.0);
    for (code, value) in table {
        if wanted(code) && !value.is_empty() && !replaced(code) {
            reply.push(code, &value);
        }
    }
    for raw in settings.raw.iter().filter(|raw| raw.always || wanted(Code(raw.code))) {
        reply.push(Code(raw.code), &raw.value);
    }
    echo_client_id(request, reply);
}

fn addresses(list: &[Ipv4Addr]) -> Vec<u8> {
    list.iter().flat_map(|address| address.octets()).collect()
}

/// The routes' value; empty if there are none. Who takes classless routes ignores the router option (RFC 3442), so the
/// default route is one of them where a router is told at all.
fn routes(routes: &[Route], gateway: Option<Ipv4Addr>, router: Option<Ipv4Addr>) -> Vec<u8> {
    let mut list: Vec<(Network, Ipv4Addr)> =
        routes.iter().filter_map(|(network, via)| Some((*network, via.or(gateway)?))).collect();
    let has_default = list.iter().any(|(network, _)| network.prefix == 0);
    if let Some(router) = router.filter(|_| !list.is_empty() && !has_default) {
        list.push((Network { address: Ipv4Addr::UNSPECIFIED, prefix: 0 }, router));
    }
    classless_routes(&list)
}
