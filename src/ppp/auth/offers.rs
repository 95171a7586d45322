//! The order in which a server offers authentication protocols.

use super::AuthMethod;
use crate::wire::ppp_option::AuthProtocol;

/// What may still be offered, and what happened to the rest. Each protocol is offered once at most, so that the chain of
/// Naks ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::ppp) struct Offers {
    /// Not refused yet; the first is the one on offer.
    left: Vec<AuthMethod>,
    offered: Vec<AuthMethod>,
    wanted: Vec<AuthProtocol>,
    /// Whether authentication is demanded at all.
    demanded: bool,
}

impl Offers {
    /// A server's, in order of preference.
    pub(in crate::ppp) fn new(order: &[AuthMethod]) -> Self {
        let mut left: Vec<AuthMethod> = Vec::new();
        for method in order {
            if !left.contains(method) {
                left.push(*method);
            }
        }
        Self {
            offered: left.first().copied().into_iter().collect(),
            left,
            wanted: Vec::new(),
            demanded: true,
        }
    }

    /// A client's: it demands nothing.
    pub(in crate::ppp) const fn none() -> Self {
        Self { left: Vec::new(), offered: Vec::new(), wanted: Vec::new(), demanded: false }
    }

    /// What is on offer.
    pub(in crate::ppp) fn current(&self) -> Option<AuthMethod> {
        self.left.first().copied()
    }

    /// Whether everything was refused.
    pub(in crate::ppp) fn are_exhausted(&self) -> bool {
        self.demanded && self.left.is_empty()
    }

    /// What was offered so far.
    pub(in crate::ppp) fn offered(&self) -> &[AuthMethod] {
        &self.offered
    }

    /// What the client named instead so far.
    pub(in crate::ppp) fn wanted(&self) -> &[AuthProtocol] {
        &self.wanted
    }

    /// The EAP methods that may be proposed once EAP is agreed upon.
    pub(in crate::ppp) fn eap_methods(&self) -> Vec<AuthMethod> {
        self.left.iter().copied().filter(|method| method.protocol() == AuthProtocol::Eap).collect()
    }

    /// The client refuses the current offer, and perhaps names what it wants: that comes next if it is allowed, or else
    /// the next in order.
    pub(in crate::ppp) fn refused(&mut self, wanted: Option<AuthProtocol>) {
        let Some(refused) = self.current().map(AuthMethod::protocol) else { return };
        self.left.retain(|method| method.protocol() != refused);
        if let Some(wanted) = wanted {
            if let Some(at) = self.left.iter().position(|method| method.protocol() == wanted) {
                // Several EAP methods keep their order among themselves.
                let first = self.left.remove(at);
                self.left.insert(0, first);
            }
            // A peer that names something new each time must not fill our memory.
            if self.wanted.len() < 8 && !self.wanted.contains(&wanted) {
                self.wanted.push(wanted);
            }
        }
        self.offered.extend(self.current());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ppp_option::ChapAlgorithm;
    use AuthMethod::{ChapMd5, EapMd5, EapMsChapV2, MsChapV2, Pap};

    const MD5: Option<AuthProtocol> = Some(AuthProtocol::Chap(ChapAlgorithm::MD5));
    const V2: Option<AuthProtocol> = Some(AuthProtocol::Chap(ChapAlgorithm::MS_CHAP_V2));
    const V1: Option<AuthProtocol> = Some(AuthProtocol::Chap(ChapAlgorithm::MS_CHAP_V1));
    const PAP: Option<AuthProtocol> = Some(AuthProtocol::Pap);
    const EAP: Option<AuthProtocol> = Some(AuthProtocol::Eap);

    #[test]
    fn every_chain_of_naks_ends_where_it_should() {
        type Chain = (&'static [AuthMethod], &'static [Option<AuthProtocol>], &'static [AuthMethod]);
        const CHAINS: &[Chain] = &[
            // Accepted at once.
            (&[MsChapV2, ChapMd5, Pap], &[], &[MsChapV2]),
            // What is named comes next, past others.
            (&[MsChapV2, ChapMd5, Pap], &[PAP], &[MsChapV2, Pap]),
            (&[MsChapV2, ChapMd5, Pap], &[MD5], &[MsChapV2, ChapMd5]),
            // Android answers EAP so, whatever comes after it.
            (&[EapMsChapV2, MsChapV2, ChapMd5, Pap], &[MD5], &[EapMsChapV2, ChapMd5]),
            (&[EapMsChapV2, MsChapV2], &[MD5], &[EapMsChapV2, MsChapV2]),
            // What is named is not allowed: the next in order.
            (&[MsChapV2, Pap], &[V1], &[MsChapV2, Pap]),
            (&[MsChapV2, ChapMd5, Pap], &[EAP, PAP], &[MsChapV2, ChapMd5, Pap]),
            // A Reject names nothing.
            (&[MsChapV2, ChapMd5, Pap], &[None, None], &[MsChapV2, ChapMd5, Pap]),
            // What was refused is not offered again, even if it is named.
            (&[MsChapV2, ChapMd5, Pap], &[MD5, V2], &[MsChapV2, ChapMd5, Pap]),
            // EAP is one protocol to LCP.
            (&[EapMsChapV2, EapMd5, Pap], &[PAP], &[EapMsChapV2, Pap]),
            (&[Pap, EapMd5, EapMsChapV2], &[EAP], &[Pap, EapMd5]),
            // Nothing left.
            (&[MsChapV2], &[PAP], &[MsChapV2]),
            (&[MsChapV2, Pap], &[V1, V1], &[MsChapV2, Pap]),
            (&[MsChapV2, MsChapV2], &[None], &[MsChapV2]),
        ];
        for (order, refusals, offered) in CHAINS {
            let mut offers = Offers::new(order);
            refusals.iter().for_each(|wanted| offers.refused(wanted.clone()));
            assert_eq!(offers.offered(), *offered, "{order:?} {refusals:?}");
            if !offers.are_exhausted() {
                assert_eq!(offers.current().as_ref(), offered.last());
            }
        }
    }

    #[test]
    fn what_the_client_wanted_is_remembered_once() {
        let mut offers = Offers::new(&[MsChapV2, Pap]);
        offers.refused(V1);
        offers.refused(V1);
        assert!(offers.are_exhausted());
        assert_eq!(offers.wanted(), [AuthProtocol::Chap(ChapAlgorithm::MS_CHAP_V1)]);
        offers.refused(PAP);
        assert_eq!(offers.wanted().len(), 1);
    }

    #[test]
    fn a_client_demands_nothing_and_a_server_without_methods_nobody() {
        assert!(!Offers::none().are_exhausted());
        assert!(Offers::new(&[]).are_exhausted());
    }
}
