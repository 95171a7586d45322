//! Rules of the penalty box.

use super::{Check, DAY, MINUTE, Path, schema};
use crate::config::Limit;
use crate::penalty;

/// More tries than that are no limit.
const MOST_TRIES: u32 = 1000;

impl Check<'_> {
    pub(super) fn penalties(&mut self, penalties: &schema::Penalties) -> penalty::Settings {
        let section = Path::of(&["penalties"]);
        let slow_after = penalties.slow_after;
        let bar_after = Limit::of(Some(penalties.bar_after));
        for (key, tries) in [("slow_after", Some(slow_after)), ("bar_after", bar_after)] {
            if let Some(tries) = tries.filter(|tries| !(1..=MOST_TRIES).contains(tries)) {
                let hint = Some("people mistype: a few tries must be free");
                self.error(&section.key(key), format!("{tries} is not between 1 and {MOST_TRIES}"), hint);
            }
        }
        if let Some(bar) = bar_after.filter(|bar| *bar <= slow_after) {
            let message = format!("{bar} is not more than the {slow_after} of `slow_after`");
            self.error(&section.key("bar_after"), message, None);
        }
        let bar_for = self.span(&section.key("bar_for"), penalties.bar_for.0, 1, 365 * DAY);
        let bar_at_most = self.span(&section.key("bar_at_most"), penalties.bar_at_most.0, 1, 365 * DAY);
        if bar_at_most < bar_for {
            let message = "this is less than `bar_for`".to_owned();
            self.error(&section.key("bar_at_most"), message, None);
        }
        penalty::Settings {
            slow_after,
            bar_after,
            bar_for,
            bar_at_most,
            forget_after: self.span(
                &section.key("forget_after"),
                penalties.forget_after.0,
                MINUTE,
                365 * DAY,
            ),
            exempt: penalties.exempt.clone(),
        }
    }
}
