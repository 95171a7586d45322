//! A set of addresses as disjoint intervals: "the next free one from here on" in O(log n), and a handful of bytes for a
//! network of any size.

use std::collections::BTreeMap;

/// Disjoint intervals that do not touch: first address to last, both included.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Intervals {
    spans: BTreeMap<u32, u32>,
    len: u32,
}

impl Intervals {
    /// All addresses from `first` to `last`; none if the order is wrong.
    pub(super) fn new(first: u32, last: u32) -> Self {
        let mut set = Self::default();
        if first <= last {
            set.spans.insert(first, last);
            set.len = (last - first).saturating_add(1);
        }
        set
    }

    /// Number of addresses.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The smallest address that is not below `from`, or else the smallest of all.
    pub(super) fn at_or_after(&self, from: u32) -> Option<u32> {
        match self.span_of(from) {
            Some(_) => Some(from),
            None => {
                let next = self.spans.range(from..).next().or_else(|| self.spans.first_key_value());
                next.map(|(first, _)| *first)
            }
        }
    }

    fn span_of(&self, address: u32) -> Option<(u32, u32)> {
        let (first, last) = self.spans.range(..=address).next_back()?;
        (*last >= address).then_some((*first, *last))
    }

    /// Takes an address out; returns whether it was in.
    pub(super) fn remove(&mut self, address: u32) -> bool {
        let Some((first, last)) = self.span_of(address) else { return false };
        self.spans.remove(&first);
        if first < address {
            self.spans.insert(first, address - 1);
        }
        if address < last {
            self.spans.insert(address + 1, last);
        }
        self.len -= 1;
        true
    }

    /// Puts an address in.
    pub(super) fn insert(&mut self, address: u32) {
        if self.span_of(address).is_some() {
            return;
        }
        let before = address.checked_sub(1).and_then(|at| self.span_of(at));
        let after = address.checked_add(1).and_then(|at| self.spans.remove(&at));
        let first = before.map_or(address, |(first, _)| first);
        self.spans.insert(first, after.unwrap_or(address));
        self.len += 1;
    }

    /// Drops all addresses outside of `first` to `last`.
    pub(super) fn keep(&mut self, first: u32, last: u32) {
        let spans = std::mem::take(&mut self.spans);
        let cut = spans.into_iter().map(|(from, to)| (from.max(first), to.min(last)));
        self.spans = cut.filter(|(from, to)| from <= to).collect();
        self.len = self
            .spans
            .iter()
            .fold(0, |sum: u32, (from, to)| sum.saturating_add((to - from).saturating_add(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 0_u32..40), 0..200), cut in 0_u32..40) {
            let mut set = Intervals::new(5, 30);
            let mut model: BTreeSet<u32> = (5..=30).collect();
            for (insert, n) in steps {
                if insert { set.insert(n); model.insert(n); } else { prop_assert_eq!(set.remove(n), model.remove(&n)); }
                prop_assert_eq!(set.len() as usize, model.len());
                let next = model.range(n..).next().or(model.first()).copied();
                prop_assert_eq!(set.at_or_after(n), next);
                // Touching intervals are one.
                prop_assert!(set.spans.iter().all(|(_, last)| !set.spans.contains_key(&(last + 1))));
            }
            set.keep(cut, 35);
            model.retain(|n| (cut..=35).contains(n));
            prop_assert_eq!(set.len() as usize, model.len());
        }
    }

    #[test]
    fn the_ends_of_the_address_space() {
        let mut set = Intervals::new(u32::MAX - 1, u32::MAX);
        assert!(set.remove(u32::MAX));
        set.insert(u32::MAX);
        set.insert(0);
        assert_eq!((set.len(), set.at_or_after(1)), (3, Some(u32::MAX - 1)));
        assert_eq!(Intervals::new(2, 1).len(), 0);
    }
}
