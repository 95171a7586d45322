//! A hash table with one writer and any number of readers that never wait, never allocate and never see a torn entry.
//!
//! Open addressing over pairs of atomic words. The writer changes one entry with two stores, whatever the table's size;
//! only growth (and clearing out after many removals) builds a new table, which the owner publishes. Compared with maps
//! behind `ArcSwap`, an entry costs 16 bytes per slot, a change copies nothing, and a look-up is one or two cache lines.
//!
//! Why a reader never pairs a key with another key's value: a slot is given to a new key only by storing [`GONE`], then
//! counting up [`Table::given`], then storing the value, then the key. A reader looks at the count first and last. If it
//! saw a value that was stored after its first look, it sees the count changed, and looks again. (A second look at the
//! key instead of a count is not enough: while a reader sleeps, a slot can go to another key and come back.) A reader
//! that is overtaken again and again reports a miss, which only means a flood.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// A key that was never used. Real keys have their top bit set.
const EMPTY: u64 = 0;
/// A removed key: searches go on behind it, insertions may take its place.
const GONE: u64 = 1;
/// The top bit of every real key.
pub(super) const KEY: u64 = 1 << 63;
/// How far from its home a key may live. With a keyed hash and half-full tables this is practically never reached; it
/// bounds the work of a look-up whatever keys a hostile segment chooses.
const MAX_PROBE: usize = 256;
/// How often a reader that was overtaken looks again.
const LOOKS: usize = 4;
/// Slots of an empty table: 128 bytes.
const MIN_SLOTS: usize = 8;

#[derive(Debug)]
struct Slot {
    key: AtomicU64,
    value: AtomicU64,
}

/// The readers' side.
#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[Slot]>,
    seeds: [u64; 2],
    /// How often a slot was given to a key.
    given: AtomicU64,
}

impl Table {
    fn new(slots: usize, seeds: [u64; 2]) -> Self {
        let empty = || Slot { key: AtomicU64::new(EMPTY), value: AtomicU64::new(0) };
        Self { slots: (0..slots).map(|_| empty()).collect(), seeds, given: AtomicU64::new(0) }
    }

    /// Home of a key. Keyed, because MAC addresses on a bridged segment are chosen by whoever sits there.
    fn home(&self, key: u64) -> usize {
        let product = u128::from(key ^ self.seeds[0]) * u128::from(self.seeds[1] | 1);
        ((product >> 64) as u64 ^ product as u64) as usize & (self.slots.len() - 1)
    }

    fn slots_of(&self, key: u64) -> impl Iterator<Item = &Slot> {
        let (home, mask) = (self.home(key), self.slots.len() - 1);
        (0..MAX_PROBE.min(self.slots.len())).map(move |n| &self.slots[(home + n) & mask])
    }

    fn slot(&self, key: u64) -> Option<&Slot> {
        for slot in self.slots_of(key) {
            match slot.key.load(Ordering::Acquire) {
                EMPTY => return None,
                found if found == key => return Some(slot),
                _ => {}
            }
        }
        None
    }

    /// The value of `key`.
    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<u64> {
        self.find_slowly(key, || {})
    }

    /// [`Self::find`], with something that happens between the looks at a key and at its value.
    #[inline]
    fn find_slowly(&self, key: u64, mut meanwhile: impl FnMut()) -> Option<u64> {
        for _ in 0..LOOKS {
            let given = self.given.load(Ordering::Acquire);
            let slot = self.slot(key)?;
            meanwhile();
            let value = slot.value.load(Ordering::Acquire);
            meanwhile();
            if self.is_still(given) {
                return Some(value);
            }
        }
        None
    }

    /// Whether no slot was given to a key before anything that was loaded since the count was `given`.
    fn is_still(&self, given: u64) -> bool {
        fence(Ordering::Acquire);
        self.given.load(Ordering::Relaxed) == given
    }

    /// The key in a slot, and its value.
    fn entry(&self, slot: &Slot) -> Option<(u64, u64)> {
        for _ in 0..LOOKS {
            let given = self.given.load(Ordering::Acquire);
            let key = slot.key.load(Ordering::Acquire);
            let value = slot.value.load(Ordering::Acquire);
            if key & KEY == 0 || self.is_still(given) {
                return (key & KEY != 0).then_some((key, value));
            }
        }
        None
    }

    /// Replaces the value of `key` if it still is `old`: how readers note that an entry is in use. A lost race changes
    /// nothing. If the slot meanwhile belongs to another key with the very same value, that one is refreshed instead,
    /// which is as good as a frame of it having been seen.
    pub(super) fn touch(&self, key: u64, old: u64, new: u64) {
        if let Some(slot) = self.slot(key) {
            let _ = slot.value.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed);
        }
    }

    /// Entries from slot `from` on, each with its slot.
    pub(super) fn entries(&self, from: usize) -> impl Iterator<Item = (usize, u64, u64)> {
        self.slots.iter().enumerate().skip(from).filter_map(|(at, slot)| {
            let (key, value) = self.entry(slot)?;
            Some((at, key, value))
        })
    }
}

/// The writer's side.
#[derive(Debug)]
pub(super) struct Owned {
    table: Arc<Table>,
    live: usize,
    gone: usize,
    rebuilt: bool,
}

impl Owned {
    /// An empty table. The seeds must be unpredictable where strangers choose the keys.
    pub(super) fn new(seeds: [u64; 2]) -> Self {
        Self { table: Arc::new(Table::new(MIN_SLOTS, seeds)), live: 0, gone: 0, rebuilt: false }
    }

    /// What readers shall see.
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Number of entries.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Whether the table was replaced since the last call, so that it has to be published again.
    pub(super) fn take_rebuilt(&mut self) -> bool {
        std::mem::take(&mut self.rebuilt)
    }

    /// The value of `key`.
    pub(super) fn find(&self, key: u64) -> Option<u64> {
        self.table.find(key)
    }

    /// Sets the value of `key`.
    pub(super) fn insert(&mut self, key: u64, value: u64) {
        debug_assert!(key & KEY != 0, "not a key");
        if let Some(slot) = self.table.slot(key) {
            slot.value.store(value, Ordering::Release);
            return;
        }
        let capacity = self.table.slots.len();
        if (self.live + 1) * 2 > capacity || (self.live + self.gone + 1) * 8 > capacity * 5 {
            self.rebuild();
        }
        while !self.place(key, value) {
            self.grow();
        }
    }

    /// Removes `key` and returns its value.
    pub(super) fn remove(&mut self, key: u64) -> Option<u64> {
        let slot = self.table.slot(key)?;
        let value = slot.value.load(Ordering::Acquire);
        slot.key.store(GONE, Ordering::Release);
        self.live -= 1;
        self.gone += 1;
        if self.table.slots.len() > MIN_SLOTS && self.live * 16 < self.table.slots.len() {
            self.rebuild();
        }
        Some(value)
    }

    /// Stores a new key in the first free slot of its way.
    fn place(&mut self, key: u64, value: u64) -> bool {
        for slot in self.table.slots_of(key) {
            let old = slot.key.load(Ordering::Relaxed);
            if old & KEY == 0 {
                // Whoever sees this count sees that the slot's last key is gone, and whoever sees the value sees the count.
                self.table.given.store(self.table.given.load(Ordering::Relaxed) + 1, Ordering::Release);
                fence(Ordering::Release);
                slot.value.store(value, Ordering::Release);
                slot.key.store(key, Ordering::Release);
                self.live += 1;
                self.gone -= usize::from(old == GONE);
                return true;
            }
        }
        false
    }

    /// A table of the right size without removed keys: a quarter full.
    fn rebuild(&mut self) {
        self.rebuild_with(((self.live + 1) * 4).next_power_of_two().max(MIN_SLOTS));
    }

    fn grow(&mut self) {
        self.rebuild_with(self.table.slots.len() * 2);
    }

    fn rebuild_with(&mut self, mut slots: usize) {
        let old = Arc::clone(&self.table);
        loop {
            self.table = Arc::new(Table::new(slots, old.seeds));
            (self.live, self.gone, self.rebuilt) = (0, 0, true);
            if old.entries(0).all(|(_, key, value)| self.place(key, value)) {
                return;
            }
            slots *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_empty_table_is_small() {
        let table = Owned::new([1, 2]);
        assert_eq!(table.table.slots.len() * size_of::<Slot>(), 128);
    }

    #[test]
    fn grows_and_shrinks_and_a_change_copies_nothing() {
        let mut table = Owned::new([0x1234_5678_9ABC_DEF1, 0xF00D_F00D_F00D_F00D]);
        for n in 0..50_000 {
            table.insert(KEY | n, n);
        }
        assert!(table.take_rebuilt());
        let before = Arc::as_ptr(table.table());
        table.insert(KEY | 7, 700);
        table.remove(KEY | 8);
        table.insert(KEY | 8, 800);
        assert_eq!(Arc::as_ptr(table.table()), before);
        assert!(!table.take_rebuilt());
        assert_eq!(
            (table.find(KEY | 7), table.find(KEY | 8), table.find(KEY | 50_000)),
            (Some(700), Some(800), None)
        );
        assert!(table.table.slots.len() <= 262_144);
        for n in 0..50_000 {
            assert!(table.remove(KEY | n).is_some());
        }
        assert_eq!((table.len(), table.table.slots.len()), (0, MIN_SLOTS));
    }

    #[test]
    fn churn_does_not_grow_the_table() {
        let mut table = Owned::new([3, 0x9E37_79B9_7F4A_7C15]);
        for n in 0..100_000 {
            table.insert(KEY | n, n);
            if n >= 100 {
                table.remove(KEY | (n - 100));
            }
        }
        assert!(table.table.slots.len() <= 1024, "{}", table.table.slots.len());
    }

    /// Keys that all collide still work, bounded, as long as they fit the probe.
    #[test]
    fn colliding_keys_are_found() {
        let mut table = Owned::new([0, 0]);
        for n in 0..200 {
            table.insert(KEY | n << 40, n);
        }
        for n in 0..200 {
            assert_eq!(table.find(KEY | n << 40), Some(n));
        }
    }

    /// A reader that sleeps between its looks, while its slot goes to another key and comes back.
    #[test]
    fn a_slot_that_comes_back_deceives_nobody() {
        let key = |n: u64| KEY | n << 40;
        let table = std::cell::RefCell::new(Owned::new([0, 0]));
        table.borrow_mut().insert(key(1), 10);
        let shared = Arc::clone(table.borrow().table());
        let mut steps = 0;
        let found = shared.find_slowly(key(1), || {
            steps += 1;
            let mut table = table.borrow_mut();
            match steps {
                1 => {
                    table.remove(key(1));
                    table.insert(key(2), 20);
                }
                2 => {
                    table.remove(key(2));
                    table.insert(key(1), 11);
                }
                _ => {}
            }
        });
        assert_eq!((found, steps), (Some(11), 4));
        // One that is overtaken at every look gives up.
        let mut value = 11;
        let found = shared.find_slowly(key(1), || {
            value += 1;
            let mut table = table.borrow_mut();
            table.remove(key(1));
            table.insert(key(1), value);
        });
        assert_eq!(found, None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test is about concurrent readers")]
    fn readers_never_see_another_keys_value() {
        // Six keys with one home, so that they take each other's slots; values are derived from keys, so that a reader
        // that pairs them wrongly is caught.
        let key = |n: u64| KEY | n << 40;
        let mut table = Owned::new([0, 0]);
        table.rebuild_with(16);
        for n in 0..3 {
            table.insert(key(n), n * 1000);
        }
        table.take_rebuilt();
        let shared = Arc::clone(table.table());
        let reader = std::thread::spawn(move || {
            let mut hits = 0;
            for round in 0..400_000_u64 {
                let n = round % 6;
                if let Some(value) = shared.find(key(n)) {
                    assert_eq!(value / 1000, n);
                    hits += 1;
                }
            }
            hits
        });
        for round in 0..400_000_u64 {
            let n = round % 6;
            table.remove(key(n));
            table.insert(key((n + 3) % 6), (n + 3) % 6 * 1000 + round % 10);
        }
        assert!(!table.take_rebuilt());
        assert!(reader.join().unwrap() > 0);
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0_u64..60, any::<Option<u32>>()), 0..400), seed: u64) {
            let mut table = Owned::new([seed, !seed]);
            let mut model = BTreeMap::new();
            for (n, value) in steps {
                let key = KEY | n << 20;
                match value {
                    Some(value) => { table.insert(key, u64::from(value)); model.insert(key, u64::from(value)); }
                    None => prop_assert_eq!(table.remove(key), model.remove(&key)),
                }
                prop_assert_eq!(table.len(), model.len());
            }
            let listed: BTreeMap<_, _> = table.table().entries(0).map(|(_, k, v)| (k, v)).collect();
            prop_assert_eq!(&listed, &model);
            for n in 0..60 {
                prop_assert_eq!(table.find(KEY | n << 20), model.get(&(KEY | n << 20)).copied());
            }
        }
    }
}
