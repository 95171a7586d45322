//! Whether the name servers that a client was given answer it. Only looks at what passes: "connected, but no page loads"
//! is most often this, and nobody measures it at the gateway.

use crate::wire::inet::Protocol;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// UDP and TCP port of name servers.
const DOMAIN: u16 = 53;
/// So many questions without an answer between them, ...
const QUESTIONS: u8 = 2;
/// ... the first of them so long ago. Resolvers ask again after one second (Windows) to five (glibc).
const SILENCE: Duration = Duration::from_secs(4);
/// A question after so long a pause is no repetition.
const PAUSE: Duration = Duration::from_secs(30);

/// The name servers of one link.
#[derive(Debug)]
pub(super) struct NameServers {
    given: [Option<Ipv4Addr>; 2],
    /// Questions since the last answer.
    unanswered: u8,
    /// When the first and the last of them were asked.
    since: Option<(Instant, Instant)>,
    silent: bool,
}

impl NameServers {
    pub(super) const fn new(given: [Option<Ipv4Addr>; 2]) -> Self {
        Self { given, unanswered: 0, since: None, silent: false }
    }

    /// Looks at an IPv4 packet of the client. Returns whether with it the servers count as silent, which they did not before.
    pub(super) fn asked(&mut self, now: Instant, packet: &[u8]) -> bool {
        // Any other packet costs this comparison.
        if packet.get(9) != Some(&Protocol::UDP.0) || self.silent || !self.is_with(packet, Side::Destination)
        {
            return false;
        }
        let goes_on = self.since.filter(|(_, last)| now.saturating_duration_since(*last) < PAUSE);
        let (first, _) = goes_on.unwrap_or((now, now));
        self.since = Some((first, now));
        self.unanswered = if goes_on.is_some() { self.unanswered.saturating_add(1) } else { 1 };
        self.silent = self.unanswered >= QUESTIONS && now.saturating_duration_since(first) >= SILENCE;
        self.silent
    }

    /// Looks at an IPv4 packet for the client. Returns whether with it the servers count as silent no longer.
    pub(super) fn answered(&mut self, packet: &[u8]) -> bool {
        if self.since.is_none() || !self.is_with(packet, Side::Source) {
            return false;
        }
        (self.unanswered, self.since) = (0, None);
        std::mem::take(&mut self.silent)
    }

    /// The servers, for the story.
    pub(super) fn note(&self) -> String {
        let servers: Vec<String> = self.given.iter().flatten().map(ToString::to_string).collect();
        format!("no answer from {}", servers.join(", "))
    }

    /// Whether one end of a packet is port 53 of a server that was given.
    fn is_with(&self, packet: &[u8], side: Side) -> bool {
        let (address_at, port_at) = match side {
            Side::Source => (12, 0),
            Side::Destination => (16, 2),
        };
        let Some(header) = packet.first_chunk::<20>() else { return false };
        let whole = [header[6] & 0x1f, header[7]] == [0, 0];
        let ports = matches!(Protocol(header[9]), Protocol::UDP | Protocol::TCP);
        let address: Option<[u8; 4]> = header.get(address_at..).and_then(|rest| rest.first_chunk()).copied();
        let at = usize::from(header[0] & 0x0f) * 4 + port_at;
        let port = packet.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u16::from_be_bytes);
        whole
            && ports
            && port == Some(DOMAIN)
            && address.is_some_and(|address| self.given.contains(&Some(address.into())))
    }
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to begin at some time")]

    use super::*;
    use crate::wire::inet::udp_packet;

    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 9);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
    const OTHER: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);

    fn question(server: Ipv4Addr, port: u16) -> Vec<u8> {
        udp_packet((CLIENT, 40_000), (server, port), b"where is it?").to_vec()
    }

    fn answer(server: Ipv4Addr) -> Vec<u8> {
        udp_packet((server, 53), (CLIENT, 40_000), b"there").to_vec()
    }

    #[test]
    fn silence_takes_questions_and_time_and_ends_with_an_answer() {
        let mut servers = NameServers::new([Some(SERVER), None]);
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        // A page asks for many names at once: no silence yet.
        for _ in 0..20 {
            assert!(!servers.asked(at(0), &question(SERVER, 53)));
        }
        assert!(!servers.answered(&answer(OTHER)));
        assert!(servers.asked(at(4), &question(SERVER, 53)));
        assert!(!servers.asked(at(5), &question(SERVER, 53)), "once is enough");
        assert!(servers.answered(&answer(SERVER)));
        assert!(!servers.answered(&answer(SERVER)));
        assert!(!servers.asked(at(9), &question(SERVER, 53)));
    }

    #[test]
    fn one_question_or_other_servers_or_ports_say_nothing() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut servers = NameServers::new([Some(SERVER), None]);
        for seconds in 0..60 {
            assert!(!servers.asked(at(seconds), &question(OTHER, 53)));
            assert!(!servers.asked(at(seconds), &question(SERVER, 443)));
            let mut fragment = question(SERVER, 53);
            fragment[7] = 9;
            assert!(!servers.asked(at(seconds), &fragment));
            assert!(!servers.asked(at(seconds), &question(SERVER, 53)[..21]));
        }
        assert!(!servers.asked(at(0), &question(SERVER, 53)));
        assert!(!servers.asked(at(50), &question(SERVER, 53)), "nobody waits so long");
        assert!(servers.asked(at(55), &question(SERVER, 53)));
        assert!(NameServers::new([None; 2]).note().ends_with("from "));
    }
}
