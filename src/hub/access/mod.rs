//! The access list of a hub: ordered rules that let a frame pass or discard it; the first that fits counts, and what fits
//! none passes.
//!
//! [`Rule`] is a rule as it is written. The owner compiles the list ([`Compiled`]) and publishes it with the look-up tables,
//! so a worker judges a frame without a lock and without an allocation. Users are compiled to classes, small numbers that
//! stand beside the port in a client's station entry: neither a worker nor a port has to be told when the list changes.

mod classes;
mod key;
mod rule;
#[cfg(test)]
mod tests;

pub(super) use classes::Classes;
pub use rule::{Action, Carries, Macs, Net, Ports, Rule, Side};

use crate::wire::ether::{Frame, Mac};
pub(in crate::hub) use key::{Address, Key};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a rule has met. Alone in its cache line: workers count side by side.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counter {
    frames: AtomicU64,
    bytes: AtomicU64,
}

/// What is listed of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// The rule.
    pub rule: Rule,
    /// Frames that it decided on.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
}

#[derive(Debug)]
struct CompiledSide {
    /// A bit for each class; `None` is anybody.
    classes: Option<Box<[u64]>>,
    mac: Option<Macs>,
    net: Option<Net>,
    ports: Option<Ports>,
}

impl CompiledSide {
    fn new(side: &Side, classes: &Classes) -> Self {
        let Side { users, mac, net, ports } = side;
        Self { classes: users.as_ref().map(|users| classes.bits(users)), mac: *mac, net: *net, ports: *ports }
    }

    #[inline]
    fn fits(&self, class: u16, mac: Mac, net: Option<key::Address>, port: Option<u16>) -> bool {
        let has = |bits: &[u64]| {
            bits.get(usize::from(class / 64)).is_some_and(|word| word >> (class % 64) & 1 == 1)
        };
        self.classes.as_deref().is_none_or(has)
            && self.mac.is_none_or(|own| own.contains(mac))
            && self.net.is_none_or(|own| net.is_some_and(|address| address.is_in(own)))
            && self.ports.is_none_or(|own| port.is_some_and(|port| own.contains(port)))
    }
}

#[derive(Debug)]
struct CompiledRule {
    action: Action,
    carries: Option<Carries>,
    established: bool,
    from: CompiledSide,
    to: CompiledSide,
    counter: Arc<Counter>,
}

/// A list as workers read it.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    rules: Box<[CompiledRule]>,
    /// As written, for listings and for the next list.
    source: Arc<[Rule]>,
}

impl Compiled {
    /// Compiles a list. Rules that were in the list before keep their counts.
    pub(super) fn new(source: &Arc<[Rule]>, classes: &Classes, before: &Self) -> Self {
        let mut known: Vec<Option<(&Rule, &Arc<Counter>)>> =
            before.source.iter().zip(before.rules.iter().map(|rule| &rule.counter)).map(Some).collect();
        let mut counter = |rule: &Rule| {
            let same = known.iter_mut().find(|entry| entry.is_some_and(|(other, _)| other == rule));
            same.and_then(Option::take).map_or_else(Arc::default, |(_, counter)| Arc::clone(counter))
        };
        let rules = source.iter().map(|rule| CompiledRule {
            action: rule.action,
            carries: rule.carries,
            established: rule.established,
            from: CompiledSide::new(&rule.from, classes),
            to: CompiledSide::new(&rule.to, classes),
            counter: counter(rule),
        });
        Self { rules: rules.collect(), source: Arc::clone(source) }
    }

    pub(super) fn source(&self) -> &Arc<[Rule]> {
        &self.source
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a frame passes. `class` gives the class of the client that has a MAC address.
    #[inline]
    pub(super) fn passes(&self, frame: &Frame<'_>, length: usize, class: impl Fn(Mac) -> u16) -> bool {
        let key = Key::of(frame);
        if key.is_tiny_fragment {
            return false;
        }
        let (from, to) = (class(frame.source), class(frame.destination));
        let fits = |rule: &&CompiledRule| {
            key.is_of(rule.carries)
                && (!rule.established || key.established)
                && rule.from.fits(from, frame.source, key.source, key.ports.map(|ports| ports.0))
                && rule.to.fits(to, frame.destination, key.destination, key.ports.map(|ports| ports.1))
        };
        let Some(rule) = self.rules.iter().find(fits) else { return true };
        rule.counter.frames.fetch_add(1, Relaxed);
        rule.counter.bytes.fetch_add(length as u64, Relaxed);
        rule.action == Action::Pass
    }

    /// The rules with what they have met.
    pub(super) fn counted(&self) -> impl Iterator<Item = Counted> {
        self.source.iter().zip(&self.rules).map(|(rule, compiled)| Counted {
            rule: rule.clone(),
            frames: compiled.counter.frames.load(Relaxed),
            bytes: compiled.counter.bytes.load(Relaxed),
        })
    }
}
