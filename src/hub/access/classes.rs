//! Numbers for the users whom rules name.

use super::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// Users with a number. Whoever is named by no rule has class 0. A number is never another user's, so entries that still
/// have one from an earlier list are judged right by every list.
#[derive(Debug, Default)]
pub(in super::super) struct Classes {
    /// By folded name.
    numbers: BTreeMap<Box<str>, u16>,
}

impl Classes {
    /// The class of a user (in folded case), given a number now if a rule names the user. The second value says whether the
    /// number is new: lists have to be compiled anew then. Without a number left nobody more is admitted: `None`.
    pub(in super::super) fn admit(&mut self, user: &str, rules: &[Rule]) -> Option<(u16, bool)> {
        if let Some(number) = self.numbers.get(user) {
            return Some((*number, false));
        }
        let names =
            |users: &Option<BTreeSet<Box<str>>>| users.as_ref().is_some_and(|users| users.contains(user));
        if !rules.iter().any(|rule| names(&rule.from.users) || names(&rule.to.users)) {
            return Some((0, false));
        }
        let number = u16::try_from(self.numbers.len() + 1).ok()?;
        self.numbers.insert(user.into(), number);
        Some((number, true))
    }

    /// A bit for the class of each of these users.
    pub(super) fn bits(&self, users: &BTreeSet<Box<str>>) -> Box<[u64]> {
        let numbers: Vec<u16> = users.iter().filter_map(|user| self.numbers.get(user).copied()).collect();
        let words = numbers.iter().max().map_or(0, |most| usize::from(most / 64) + 1);
        let mut bits = vec![0_u64; words].into_boxed_slice();
        for number in numbers {
            bits[usize::from(number / 64)] |= 1 << (number % 64);
        }
        bits
    }
}
