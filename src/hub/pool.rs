//! The allocator of one hub's addresses ([`super::lease`] has the words).
//!
//! An address is found in this order: fixed for its user or station; the client's own, where it may have one; the one
//! that the same user and device had last time; the one that the client wishes for; one by a hash of the key, so that
//! even without the leases file most come back to theirs; one that was never given; the one whose last holder has been
//! gone longest, and not less long than [`Settings::hold`]. All in O(log n).

use super::interval::Intervals;
use super::lease::{Key, Lease, Refusal, Request, Reserved, Settings, State, Term};
use super::{Mac, PortId};
use crate::identity::folded;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a declined address is left alone.
const DECLINED: Duration = Duration::from_secs(600);

/// The allocator of one hub.
#[derive(Debug)]
pub struct Pool {
    settings: Arc<Settings>,
    /// By address: held and remembered.
    leases: BTreeMap<u32, Lease>,
    /// The address of each key.
    keys: BTreeMap<Arc<Key>, u32>,
    /// The address of each port.
    ports: BTreeMap<PortId, u32>,
    /// Addresses that anybody may get and that nobody holds or is remembered for.
    fresh: Intervals,
    /// Remembered addresses, longest gone first.
    past: BTreeSet<(Instant, u32)>,
    /// The same for addresses that not anybody may get: clients' own ones outside the range.
    apart: BTreeSet<(Instant, u32)>,
    /// Ends of offers, leases and declines.
    due: BTreeSet<(Instant, u32)>,
    /// How many addresses each DHCP client's MAC address holds.
    by_mac: BTreeMap<Mac, u32>,
    /// How many addresses are left alone because strangers use them.
    declined: u32,
    /// Fixed addresses by whom they are kept for.
    reserved: BTreeMap<Reserved, u32>,
    /// How many addresses can be given in all.
    size: u32,
    generation: u64,
}

impl Pool {
    /// A pool in which nobody has an address.
    #[must_use]
    pub fn new(settings: impl Into<Arc<Settings>>) -> Self {
        let settings = settings.into();
        let (fresh, reserved) = layout(&settings);
        let size = fresh.len();
        Self {
            settings,
            leases: BTreeMap::new(),
            keys: BTreeMap::new(),
            ports: BTreeMap::new(),
            fresh,
            past: BTreeSet::new(),
            apart: BTreeSet::new(),
            due: BTreeSet::new(),
            by_mac: BTreeMap::new(),
            declined: 0,
            reserved,
            size,
            generation: 0,
        }
    }

    /// What the pool gives.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Grows with every change that a snapshot would show: write one when it has moved.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Number of addresses held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.leases.len() - self.past.len() - self.apart.len()
    }

    /// Changes the rules; whoever holds an address keeps it until the end of its term, even where the new rules would
    /// not give it.
    pub fn apply(&mut self, settings: impl Into<Arc<Settings>>) {
        let settings = settings.into();
        let (mut fresh, reserved) = layout(&settings);
        self.size = fresh.len();
        for address in self.leases.keys() {
            fresh.remove(*address);
        }
        (self.settings, self.fresh, self.reserved) = (settings, fresh, reserved);
        let misfit = |lease: &&Lease| !lease.state.is_held() && !self.settings.may_be_chosen(lease.address);
        let gone: Vec<u32> =
            self.leases.values().filter(misfit).map(|lease| lease.address.to_bits()).collect();
        gone.into_iter().for_each(|address| self.forget(address));
        // What is in the range now, and what is not.
        let past = std::mem::take(&mut self.past);
        let all = past.into_iter().chain(std::mem::take(&mut self.apart));
        (self.past, self.apart) =
            all.partition(|(_, address)| self.settings.is_anybodys(Ipv4Addr::from_bits(*address)));
        self.generation += 1;
    }

    /// Gives an address, or prolongs the term of the one that the key already has.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn acquire(&mut self, request: Request) -> Result<Ipv4Addr, Refusal> {
        let key = Arc::new(request.key.clone());
        let address = self.choose(&request, &key)?;
        if let Some(old) = self.keys.get(&key).copied().filter(|old| *old != address) {
            // The key gets another address than before (a new reservation): the old one is free again.
            self.forget(old);
        }
        self.settle(address, &key, request);
        Ok(Ipv4Addr::from_bits(address))
    }

    fn choose(&mut self, request: &Request, key: &Key) -> Result<u32, Refusal> {
        if let Some(address) = self.fixed(request) {
            match self.choose_fixed(address, key) {
                // A second device of the user gets one of the range.
                Err(Refusal::FixedInUse { by, .. }) if by.is_same_user(key) => {}
                result => return result,
            }
        }
        if let Some(own) = request.own.filter(|own| self.is_free(*own, request.now, key)) {
            return Ok(own.to_bits());
        }
        let old = self.keys.get(key).copied();
        if let Some(old) = old.filter(|old| self.is_open_to(*old, key)) {
            return Ok(old);
        }
        // A wish is granted where it takes nothing from anybody, not even the memory of the last holder.
        let open = |wish: &u32| !self.leases.contains_key(wish) && self.is_open_to(*wish, key);
        if let Some(wish) = request.wish.map(Ipv4Addr::to_bits).filter(open) {
            return Ok(wish);
        }
        self.choose_any(request.now, key)
    }

    /// Whether this key may have this address because its client chose it: inside or outside the range, but nobody
    /// else's, and not kept for a device that has just left.
    fn is_free(&self, address: Ipv4Addr, now: Instant, key: &Key) -> bool {
        let free = |lease: &Lease| match lease.state {
            State::Declined(_) => false,
            _ if *lease.key == *key => true,
            State::Past(at) => self.is_over(now, at),
            State::Bound(_) | State::Offered(_) | State::Leased(_) => false,
        };
        self.settings.may_be_chosen(address) && self.lease(address).is_none_or(free)
    }

    /// Whether an address whose holder left at `at` may go to somebody else.
    fn is_over(&self, now: Instant, at: Instant) -> bool {
        now.saturating_duration_since(at) >= self.settings.hold
    }

    /// The address that this holder must have.
    fn fixed(&self, request: &Request) -> Option<Ipv4Addr> {
        let kept = |whom: Reserved| self.reserved.get(&whom).copied().map(Ipv4Addr::from_bits);
        let by_name = || match &request.key {
            Key::Link { user, .. } => kept(Reserved::User(folded(user).into())),
            Key::Station(id) => kept(Reserved::Station(id.clone())),
        };
        request.fixed.or_else(by_name).or_else(|| kept(Reserved::Mac(request.mac)))
    }

    fn choose_fixed(&self, address: Ipv4Addr, key: &Key) -> Result<u32, Refusal> {
        if !self.settings.may_be_given(address) {
            return Err(Refusal::FixedOutside { address, network: self.settings.network });
        }
        match self.leases.get(&address.to_bits()) {
            Some(lease) if lease.state.is_held() && *lease.key != *key => {
                Err(Refusal::FixedInUse { address, by: Key::clone(&lease.key) })
            }
            _ => Ok(address.to_bits()),
        }
    }

    /// Whether this key may have this address under the rules: not kept for others, not held by others.
    fn is_open_to(&self, address: u32, key: &Key) -> bool {
        let ip = Ipv4Addr::from_bits(address);
        let declined = |lease: &Lease| matches!(lease.state, State::Declined(_));
        let held = |lease: &Lease| declined(lease) || (lease.state.is_held() && *lease.key != *key);
        self.settings.may_be_given(ip)
            && !self.settings.reserved.contains_key(&ip)
            && self.settings.in_range(ip)
            && !self.leases.get(&address).is_some_and(held)
    }

    /// One that nobody has, preferably the one that belongs to the key's hash.
    fn choose_any(&self, now: Instant, key: &Key) -> Result<u32, Refusal> {
        let (first, last) = self.settings.range;
        let span = u64::from(last.to_bits().saturating_sub(first.to_bits())) + 1;
        let preferred = first.to_bits() + (stable_hash(key) % span) as u32;
        if let Some(address) = self.fresh.at_or_after(preferred) {
            return Ok(address);
        }
        let oldest = self.past.first().filter(|(at, _)| self.is_over(now, *at));
        oldest.map(|(_, address)| *address).ok_or(Refusal::PoolEmpty { first, last, size: self.size })
    }

    /// Writes the lease down.
    fn settle(&mut self, address: u32, key: &Arc<Key>, request: Request) {
        self.forget(address);
        self.fresh.remove(address);
        let state = match request.term {
            Term::Port(port) => State::Bound(port),
            Term::Offer(at) => State::Offered(at),
            Term::Until(at) => State::Leased(at),
        };
        if let Term::Port(port) = request.term
            && let Some(old) = self.ports.get(&port).copied()
        {
            // One port, one address: the other one's key lost it.
            self.forget(old);
        }
        self.keys.insert(Arc::clone(key), address);
        let ip = Ipv4Addr::from_bits(address);
        self.put(Lease { address: ip, key: Arc::clone(key), state, mac: request.mac, name: request.name });
    }

    /// Puts a lease in, and into all indices but the one by key.
    fn put(&mut self, lease: Lease) {
        let address = lease.address.to_bits();
        match lease.state {
            State::Bound(port) => {
                self.ports.insert(port, address);
            }
            State::Past(at) => {
                let set =
                    if self.settings.is_anybodys(lease.address) { &mut self.past } else { &mut self.apart };
                set.insert((at, address));
            }
            State::Offered(at) | State::Leased(at) | State::Declined(at) => {
                self.due.insert((at, address));
            }
        }
        match lease.state {
            State::Offered(_) | State::Leased(_) => *self.by_mac.entry(lease.mac).or_default() += 1,
            State::Declined(_) => self.declined += 1,
            State::Bound(_) | State::Past(_) => {}
        }
        self.leases.insert(address, lease);
        self.generation += 1;
    }

    /// Ends the lease of a port that closes; the address is remembered for its key.
    pub fn release_port(&mut self, now: Instant, port: PortId) -> Option<Ipv4Addr> {
        let address = self.ports.get(&port).copied()?;
        self.pass(now, address);
        Some(Ipv4Addr::from_bits(address))
    }

    /// Ends the lease of a key; the address is remembered for it.
    pub fn release(&mut self, now: Instant, key: &Key) -> Option<Ipv4Addr> {
        let address = self.keys.get(key).copied()?;
        self.pass(now, address);
        Some(Ipv4Addr::from_bits(address))
    }

    /// Ends a lease that is not a link's, and the memory of its holder: anybody may get the address.
    pub fn free(&mut self, address: Ipv4Addr) -> Option<Lease> {
        let lease = self.lease(address).filter(|lease| !matches!(lease.state, State::Bound(_))).cloned()?;
        self.forget(address.to_bits());
        self.generation += 1;
        Some(lease)
    }

    /// Marks an address as used by a stranger (DHCPDECLINE, or a probe that was answered): nobody gets it for a while.
    pub fn decline(&mut self, now: Instant, address: Ipv4Addr) {
        if !self.settings.network.contains(address) {
            return;
        }
        let bits = address.to_bits();
        if self.leases.get(&bits).is_some_and(|lease| matches!(lease.state, State::Bound(_))) {
            // A link's address is ours to defend.
            return;
        }
        self.forget(bits);
        if self.declined > self.size / 4 {
            // Somebody declines whatever is offered: the network would be used up by it.
            return;
        }
        self.fresh.remove(bits);
        let (key, until) = (Arc::new(Key::Station(bits.to_be_bytes().into())), now + DECLINED);
        self.put(Lease { address, key, state: State::Declined(until), mac: Mac::ZERO, name: None });
    }

    /// How many addresses DHCP clients hold under one MAC address.
    #[must_use]
    pub fn held_by(&self, mac: Mac) -> u32 {
        self.by_mac.get(&mac).copied().unwrap_or(0)
    }

    /// When the next offer, lease or decline ends.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Ends one term that is over at `now` and returns its lease as it was; call until it returns `None`.
    pub fn expire(&mut self, now: Instant) -> Option<Lease> {
        let (at, address) = *self.due.first()?;
        if at > now {
            return None;
        }
        let lease = self.leases.get(&address).cloned()?;
        match lease.state {
            State::Declined(_) => self.forget(address),
            _ => self.pass(now, address),
        }
        Some(lease)
    }

    /// Turns a held address into a remembered one. A fixed address needs no memory: its holder gets it by the rules.
    fn pass(&mut self, now: Instant, address: u32) {
        let Some(lease) = self.take(address) else { return };
        if self.settings.may_be_chosen(lease.address) {
            self.put(Lease { state: State::Past(now), ..lease });
        } else {
            self.keys.remove(&lease.key);
        }
        if self.past.len() + self.apart.len() > self.settings.remember {
            let oldest = self.past.first().into_iter().chain(self.apart.first()).min().copied();
            if let Some((_, oldest)) = oldest {
                self.forget(oldest);
            }
        }
    }

    /// Drops all memory of an address, so that anybody can get it.
    fn forget(&mut self, address: u32) {
        let Some(lease) = self.take(address) else { return };
        if self.keys.get(&lease.key) == Some(&address) {
            self.keys.remove(&lease.key);
        }
        if self.settings.is_anybodys(lease.address) {
            self.fresh.insert(address);
        }
    }

    /// Takes a lease out, and out of all indices but the one by key.
    fn take(&mut self, address: u32) -> Option<Lease> {
        let lease = self.leases.remove(&address)?;
        match lease.state {
            State::Bound(port) => {
                if self.ports.get(&port) == Some(&address) {
                    self.ports.remove(&port);
                }
            }
            State::Past(at) => {
                self.past.remove(&(at, address));
                self.apart.remove(&(at, address));
            }
            State::Offered(at) | State::Leased(at) | State::Declined(at) => {
                self.due.remove(&(at, address));
            }
        }
        match lease.state {
            State::Offered(_) | State::Leased(_) => {
                if let Some(count) = self.by_mac.get_mut(&lease.mac) {
                    *count -= 1;
                    if *count == 0 {
                        self.by_mac.remove(&lease.mac);
                    }
                }
            }
            State::Declined(_) => self.declined -= 1,
            State::Bound(_) | State::Past(_) => {}
        }
        self.generation += 1;
        Some(lease)
    }

    /// The lease of an address, held or past.
    #[must_use]
    pub fn lease(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.leases.get(&address.to_bits())
    }

    /// The lease of a key, held or past.
    #[must_use]
    pub fn lease_of(&self, key: &Key) -> Option<&Lease> {
        self.keys.get(key).and_then(|address| self.leases.get(address))
    }

    /// Leases in the order of addresses, behind `after`: take a page at a time, so that listing 50,000 stalls nobody.
    pub fn leases(&self, after: Option<Ipv4Addr>) -> impl Iterator<Item = &Lease> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |address| Excluded(address.to_bits()));
        self.leases.range((from, Unbounded)).map(|(_, lease)| lease)
    }

    /// Puts back a lease of a former run (see [`super::snapshot`]), unless its address or key is taken or the rules
    /// forbid it by now.
    pub(super) fn restore(&mut self, lease: Lease) {
        let address = lease.address.to_bits();
        let taken = self.leases.contains_key(&address) || self.keys.contains_key(&lease.key);
        let open = match lease.state {
            State::Past(_) => self.settings.may_be_chosen(lease.address),
            _ => self.settings.may_be_given(lease.address),
        };
        if taken || !open {
            return;
        }
        self.fresh.remove(address);
        self.keys.insert(Arc::clone(&lease.key), address);
        self.put(lease);
    }
}

/// Addresses that anybody can get, and the index of those that are kept.
fn layout(settings: &Settings) -> (Intervals, BTreeMap<Reserved, u32>) {
    let (first, last) = settings.range;
    let mut fresh = Intervals::new(first.to_bits(), last.to_bits());
    let network = settings.network;
    let kept = settings.reserved.keys().copied().chain(settings.gateway);
    let edges = (network.prefix < 31).then_some([network.address, network.last()]).into_iter().flatten();
    for address in kept.chain(edges) {
        fresh.remove(address.to_bits());
    }
    fresh.keep(network.address.to_bits(), network.last().to_bits());
    let reserved = settings.reserved.iter().map(|(address, whom)| (whom.clone(), address.to_bits()));
    (fresh, reserved.filter(|(whom, _)| *whom != Reserved::Nobody).collect())
}

/// A hash that is the same in every run and version.
fn stable_hash(key: &Key) -> u64 {
    let mut hash = Sha256::new();
    match key {
        Key::Link { user, device, instance } => {
            for part in [user, device] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part.as_bytes());
            }
            hash.update(instance.to_be_bytes());
        }
        Key::Station(id) => hash.update(id),
    }
    let digest: [u8; 32] = hash.finalize().into();
    u64::from_be_bytes(std::array::from_fn(|i| digest[i]))
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
