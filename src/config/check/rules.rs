//! Rules for users, at each of the places where they may stand.

use super::{Check, DAY, MINUTE, Path, SHORTEST_SILENCE, model, schema};
use crate::config::{Limit, Rate, Rules, Volume};

/// Slower than that, a client does not stay connected.
const SLOWEST: Rate = Rate(32_000);
const FASTEST: Rate = Rate(100_000_000_000);

/// Less is used up by connecting.
const LEAST_VOLUME: Volume = Volume(1_000_000);

/// What is more is no limit.
const MOST_BROADCASTS: u32 = 100_000;

impl Check<'_> {
    /// Checks what one place says.
    pub(super) fn rules(&mut self, path: &Path, rules: &Rules) {
        if rules.max_sessions.as_ref().and_then(Limit::value) == Some(&0) {
            let hint = Some("`access: deny` keeps them out and says so; `none` is as many as they like");
            self.error(&path.key("max_sessions"), "with 0 nobody can connect".to_owned(), hint);
        }
        if let Some(span) = rules.dead_after {
            self.span(&path.key("dead_after"), span.0, SHORTEST_SILENCE, DAY);
        }
        for (key, limit) in [("idle_timeout", rules.idle_timeout), ("session_timeout", rules.session_timeout)]
        {
            if let Some(Limit::To(span)) = limit {
                self.span(&path.key(key), span.0, MINUTE, 365 * DAY);
            }
        }
        for (key, limit) in [("rate_up", rules.rate_up), ("rate_down", rules.rate_down)] {
            if let Some(Limit::To(rate)) = limit
                && !(SLOWEST..=FASTEST).contains(&rate)
            {
                let hint = Some("`none` is as fast as it goes");
                self.error(&path.key(key), format!("{rate} is not between {SLOWEST} and {FASTEST}"), hint);
            }
        }
        if let Some(Limit::To(volume)) = rules.volume
            && volume < LEAST_VOLUME
        {
            let hint = Some("`access: deny` keeps them out; `none` is no limit");
            self.error(&path.key("volume"), format!("{volume} is less than {LEAST_VOLUME}"), hint);
        }
        if let Some(frames) = rules.broadcasts {
            self.broadcasts(&path.key("broadcasts"), frames);
        }
        if let Some(Limit::To(date)) = rules.expires
            && rules.time_zone.unwrap_or_default().to_utc(date.end()) <= self.facts.now
        {
            let hint = Some("move the date, or remove what is over");
            self.warn(&path.key("expires"), format!("this was over with {date}"), hint);
        }
    }

    /// A limit on frames that are copied to many.
    pub(super) fn broadcasts(&mut self, path: &Path, frames: u32) {
        if !(1..=MOST_BROADCASTS).contains(&frames) {
            let hint = Some(
                "a client that begins sends a dozen; ARP and the questions for its settings are among them",
            );
            self.error(
                path,
                format!("{frames} is not between 1 and {MOST_BROADCASTS} frames a second"),
                hint,
            );
        }
    }

    /// Clear-text L2TP needs the switch and somebody who may use it.
    pub(super) fn raw_l2tp(&mut self, file: &schema::File, hubs: &[model::Hub]) {
        let switch = Path::of(&["listen", "raw_l2tp"]);
        if file.listen.raw_l2tp {
            let mut users = hubs.iter().flat_map(|hub| &hub.users);
            let meant = file.hubs.values().any(|hub| hub.allow_raw_l2tp == Some(true));
            if !meant
                && !users.any(|user| user.terms.allow_raw_l2tp)
                && !self.skipped.touches(&Path::of(&["hubs"]))
            {
                let hint = "set allow_raw_l2tp: true on a hub, group or user, or switch raw_l2tp off";
                self.warn(&switch, "raw_l2tp is on, and no hub or user may use it".to_owned(), Some(hint));
            }
            return;
        }
        let mut places = vec![(Path::of(&["sessions"]), file.sessions.allow_raw_l2tp)];
        for (name, hub) in &file.hubs {
            let path = Path::of(&["hubs", name]);
            let groups =
                hub.groups.iter().map(|(name, group)| (path.key("groups").key(name), group.allow_raw_l2tp));
            let users =
                hub.users.iter().map(|(name, user)| (path.key("users").key(name), user.allow_raw_l2tp));
            places.extend(groups.chain(users));
            places.push((path, hub.allow_raw_l2tp));
        }
        for (path, _) in places.into_iter().filter(|(_, allowed)| *allowed == Some(true)) {
            let hint = Some("set listen.raw_l2tp: true if clear-text L2TP is wished");
            let message = "this has no effect while listen.raw_l2tp is off";
            self.warn(&path.key("allow_raw_l2tp"), message.to_owned(), hint);
        }
    }
}
