//! When the next timer of any peer or half-open exchange is due.

use std::collections::BTreeSet;
use std::time::Instant;

/// A sorted set of deadlines, one per key. The owner of each key remembers the deadline that is filed here, so that
/// re-arming is a removal and an insertion and nothing is ever scanned.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    filed: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Default for Deadlines<K> {
    fn default() -> Self {
        Self { filed: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// Files `wanted` for `key` in place of `filed`, which is updated.
    pub(super) fn arm(&mut self, key: K, filed: &mut Option<Instant>, wanted: Option<Instant>) {
        if *filed == wanted {
            return;
        }
        if let Some(at) = *filed {
            self.filed.remove(&(at, key));
        }
        if let Some(at) = wanted {
            self.filed.insert((at, key));
        }
        *filed = wanted;
    }

    /// How many are filed.
    pub(super) fn len(&self) -> usize {
        self.filed.len()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.filed.first().map(|(at, _)| *at)
    }

    /// Takes one key that is due; its owner must re-arm it (its filed deadline is gone).
    pub(super) fn expire(&mut self, now: Instant) -> Option<K> {
        let &(at, key) = self.filed.first()?;
        if at > now {
            return None;
        }
        self.filed.pop_first();
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn keys_expire_in_order_and_only_once() {
        let start = Instant::now();
        let at = |n| Some(start + Duration::from_secs(n));
        let mut deadlines = Deadlines::default();
        let (mut a, mut b) = (None, None);
        deadlines.arm('a', &mut a, at(5));
        deadlines.arm('b', &mut b, at(3));
        deadlines.arm('a', &mut a, at(2));
        assert_eq!(deadlines.next(), at(2));
        assert_eq!(deadlines.expire(start + Duration::from_secs(4)), Some('a'));
        assert_eq!(deadlines.expire(start + Duration::from_secs(4)), Some('b'));
        assert_eq!(deadlines.expire(start + Duration::from_secs(9)), None);
    }
}
