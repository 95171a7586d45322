//! NAT keepalives that belong to no peer: a hint that a NAT has given a device another port while it was idle. The device
//! thinks that it is connected; our questions go to the port that it had. A keepalive proves nothing, so it moves nothing:
//! the hint only chooses the words for an end that comes for another reason.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// More addresses than that are not remembered.
const MOST: usize = 256;
/// How long a keepalive counts: devices send one every 20 s.
const FRESH: Duration = Duration::from_secs(60);

/// When a keepalive from a way that no peer goes was seen last, by address.
#[derive(Debug, Default)]
pub struct Strays(BTreeMap<IpAddr, Instant>);

impl Strays {
    /// One came.
    pub fn note(&mut self, now: Instant, from: IpAddr) {
        if self.0.len() >= MOST && !self.0.contains_key(&from) {
            self.0.retain(|_, at| now.saturating_duration_since(*at) < FRESH);
            if self.0.len() >= MOST {
                return;
            }
        }
        self.0.insert(from, now);
    }

    /// Whether one came from there lately, and after this moment.
    #[must_use]
    pub fn seen(&self, now: Instant, from: IpAddr, after: Instant) -> bool {
        self.0.get(&from).is_some_and(|at| *at > after && now.saturating_duration_since(*at) < FRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn a_flood_of_them_is_bounded_and_passes() {
        let now = Instant::now();
        let mut strays = Strays::default();
        for n in 0..1000 {
            strays.note(now, IpAddr::from([10, 0, (n / 256) as u8, n as u8]));
        }
        assert_eq!(strays.0.len(), MOST);
        let later = now + FRESH;
        let own = IpAddr::from([192, 0, 2, 1]);
        strays.note(later, own);
        assert!(strays.0.len() == 1 && strays.seen(later, own, now));
        assert!(!strays.seen(later, own, later) && !strays.seen(later + FRESH, own, now));
    }
}
