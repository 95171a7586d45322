//! Which way a destination is: the longest prefix that holds it (RFC 1812 section 5.2.4.3).

use crate::wire::inet::Network;
use std::net::Ipv4Addr;

/// A static route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Route {
    /// What lies there.
    pub to: Network,
    /// The next router.
    pub via: Ipv4Addr,
}

/// A way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    /// Which interface.
    pub(super) leg: usize,
    /// The next router; `None` where the destination is on the segment.
    pub(super) via: Option<Ipv4Addr>,
}

/// All ways, the longest prefixes first. There are as many as an administrator wrote down: a list is enough.
#[derive(Debug)]
pub(super) struct Table {
    ways: Vec<(Network, Way)>,
}

impl Table {
    pub(super) fn new(networks: impl Iterator<Item = Network>, routes: &[Route]) -> Self {
        let direct: Vec<_> =
            networks.enumerate().map(|(leg, network)| (network, Way { leg, via: None })).collect();
        let leg_of = |via: Ipv4Addr| direct.iter().position(|(network, _)| network.contains(via));
        let further = routes
            .iter()
            .filter_map(|route| Some((route.to, Way { leg: leg_of(route.via)?, via: Some(route.via) })));
        // A stable sort: of equal networks the hubs' own come first.
        let mut ways: Vec<_> = direct.iter().copied().chain(further).collect();
        ways.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix));
        Self { ways }
    }

    pub(super) fn find(&self, address: Ipv4Addr) -> Option<Way> {
        self.ways.iter().find(|(network, _)| network.contains(address)).map(|(_, way)| *way)
    }
}
