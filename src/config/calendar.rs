//! The week and the clock: `mon-fri 08:00-18:00`, `+09:00`.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

const MINUTE: u64 = 60;
const DAY: u16 = 24 * 60;
const WEEK: u16 = 7 * DAY;
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// How far the clocks of a place are before UTC: `+09:00`, `-03:30`, `UTC`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offset {
    minutes: i16,
}

impl Offset {
    /// What the clocks of the place show at a Unix time, in seconds since 1970 on that clock.
    #[must_use]
    pub fn to_local(self, unix: u64) -> u64 {
        unix.saturating_add_signed(i64::from(self.minutes) * 60)
    }

    /// The Unix time at which the clocks of the place show this.
    #[must_use]
    pub fn to_utc(self, local: u64) -> u64 {
        local.saturating_add_signed(-i64::from(self.minutes) * 60)
    }
}

impl FromStr for Offset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || {
            format!("`{text}` is not a time zone: write its distance from UTC, such as +09:00, -03:30 or UTC")
        };
        if text.eq_ignore_ascii_case("utc") {
            return Ok(Self::default());
        }
        let (sign, clock) = match text.split_at_checked(1) {
            Some(("+", clock)) => (1, clock),
            Some(("-", clock)) => (-1, clock),
            _ => return Err(refusal()),
        };
        // The farthest that there are: +14:00 on Kiritimati, -12:00.
        let minutes = minute_of(clock).filter(|minutes| *minutes <= 14 * 60).ok_or_else(refusal)?;
        Ok(Self { minutes: sign * i16::try_from(minutes).map_err(|_| refusal())? })
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let minutes = self.minutes.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

/// Times of the week: `mon-fri 08:00-18:00; sat 09:00-12:00`. A part without days means every day, one without a time
/// the whole day; one that ends before it begins ends on the next day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hours(Vec<Window>);

/// Minutes from Monday 00:00, and how many from there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Window {
    start: u16,
    length: u16,
}

impl Window {
    /// How much of it is left at a minute of the week, if it holds it.
    fn left_at(self, minute: u16) -> Option<u16> {
        self.length.checked_sub((minute + WEEK - self.start) % WEEK).filter(|left| *left > 0)
    }
}

impl Hours {
    /// Whether they hold this second of a local clock.
    #[must_use]
    pub fn contain(&self, local: u64) -> bool {
        self.left_at(minute_of_week(local)) > 0
    }

    /// The second at which the time is over that holds this one; `None` if it is never over, or already.
    #[must_use]
    pub fn end(&self, local: u64) -> Option<u64> {
        let minute = minute_of_week(local);
        let mut total = 0;
        loop {
            match self.left_at((minute + total) % WEEK) {
                0 if total == 0 => return None,
                0 => return Some(local - local % MINUTE + u64::from(total) * MINUTE),
                // Windows may touch: what follows without a gap belongs to it.
                left => total += left,
            }
            if total >= WEEK {
                return None;
            }
        }
    }

    fn left_at(&self, minute: u16) -> u16 {
        self.0.iter().filter_map(|window| window.left_at(minute)).max().unwrap_or(0)
    }
}

/// 1970-01-01 was a Thursday.
fn minute_of_week(local: u64) -> u16 {
    ((local / MINUTE + 3 * u64::from(DAY)) % u64::from(WEEK)) as u16
}

/// `08:30` in minutes; `24:00` is the end of the day.
fn minute_of(clock: &str) -> Option<u16> {
    let (hours, minutes) = clock.split_once(':')?;
    let two = |text: &str| -> Option<u16> {
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

fn day_of(name: &str) -> Option<u16> {
    NAMES.iter().position(|day| day.eq_ignore_ascii_case(name)).and_then(|day| u16::try_from(day).ok())
}

/// `mon-fri,sun` as numbers from Monday.
fn days_of(text: &str) -> Option<Vec<u16>> {
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day_of(first)?, day_of(last)?);
        days.extend((0..=(last + 7 - first) % 7).map(|n| (first + n) % 7));
    }
    Some(days)
}

/// `08:00-18:00` as start and length in minutes.
fn time_of(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (minute_of(start)?, minute_of(end)?);
    (start < DAY && start != end)
        .then_some((start, if end > start { end - start } else { end + DAY - start }))
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut windows = Vec::new();
        for part in text.split(';').map(str::trim) {
            let refusal = || {
                format!(
                    "`{part}` is not a time of the week: write days and times, such as mon-fri 08:00-18:00, and \
                     `;` between several"
                )
            };
            let words: Vec<&str> = part.split_whitespace().collect();
            let (days, time) = match *words {
                [word] => match days_of(word) {
                    Some(days) => (Some(days), Some((0, DAY))),
                    None => (Some((0..7).collect()), time_of(word)),
                },
                [days, time] => (days_of(days), time_of(time)),
                _ => (None, None),
            };
            let ((start, length), days) = time.zip(days).ok_or_else(refusal)?;
            windows.extend(days.into_iter().map(|day| Window { start: day * DAY + start, length }));
        }
        windows.sort_unstable();
        windows.dedup();
        Ok(Self(windows))
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, 00:00.
    const MONDAY: u64 = 1_795_392_000;

    fn at(day: u64, hour: u64, minute: u64) -> u64 {
        MONDAY + day * 86_400 + hour * 3_600 + minute * 60
    }

    fn hours(text: &str) -> Hours {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn office_hours_hold_office_hours() {
        let office = hours("mon-fri 08:00-18:00; sat 09:00-12:00");
        for (time, inside) in [
            (at(0, 7, 59) + 59, false),
            (at(0, 8, 0), true),
            (at(4, 17, 59) + 59, true),
            (at(4, 18, 0), false),
            (at(5, 8, 30), false),
            (at(5, 9, 0), true),
            (at(6, 10, 0), false),
        ] {
            assert_eq!(office.contain(time), inside, "{}", time - MONDAY);
        }
        assert_eq!(office.end(at(2, 12, 34) + 56), Some(at(2, 18, 0)));
        assert_eq!(office.end(at(6, 12, 0)), None, "it is over already");
    }

    #[test]
    fn days_and_times_may_be_left_out_and_cross_midnight() {
        assert!(hours("08:00-18:00").contain(at(6, 12, 0)));
        assert!(hours("sat-mon").contain(at(0, 0, 0)) && !hours("sat-mon").contain(at(1, 0, 0)));
        assert!(hours("Mon,wed").contain(at(2, 23, 59)) && !hours("Mon,wed").contain(at(1, 12, 0)));
        let night = hours("sun 22:00-06:00");
        assert!(night.contain(at(6, 22, 0)) && night.contain(at(0, 5, 59)) && !night.contain(at(0, 6, 0)));
        assert_eq!(night.end(at(6, 23, 0)), Some(at(7, 6, 0)));
        assert!(hours("12:00-24:00").contain(at(3, 23, 59)));
    }

    #[test]
    fn windows_that_touch_are_one() {
        assert_eq!(hours("mon 08:00-24:00; tue 00:00-09:00").end(at(0, 9, 0)), Some(at(1, 9, 0)));
        assert_eq!(hours("mon-sun").end(at(3, 1, 0)), None, "it is never over");
        assert_eq!(hours("00:00-24:00").end(at(3, 1, 0)), None);
    }

    #[test]
    fn what_is_no_time_of_the_week_is_refused() {
        for text in [
            "",
            ";",
            "mon-fri 8-18",
            "08:00",
            "mon 25:00-26:00",
            "mon 08:60-09:00",
            "08:00-08:00",
            "mon tue wed",
            "08:00-18:00 mon",
            "montag",
            "24:00-06:00",
        ] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
    }

    #[test]
    fn time_zones_are_distances() {
        let tokyo: Offset = "+09:00".parse().unwrap();
        assert_eq!((tokyo.to_local(MONDAY), tokyo.to_utc(MONDAY)), (at(0, 9, 0), MONDAY - 9 * 3_600));
        let newfoundland: Offset = "-03:30".parse().unwrap();
        assert_eq!(newfoundland.to_local(MONDAY), MONDAY - 12_600);
        assert_eq!(newfoundland.to_string(), "-03:30");
        assert_eq!("utc".parse::<Offset>(), Ok(Offset::default()));
        for text in ["", "9", "+9:00", "+0900", "+15:00", "Asia/Tokyo", "+09:60", "ü"] {
            assert!(text.parse::<Offset>().is_err(), "{text}");
        }
    }
}
