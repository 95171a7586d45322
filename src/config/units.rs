//! Values with a unit or a calendar in them: `8h`, `90s`, `2026-12-31`.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

/// A length of time as people write it: a whole number and one of `s`, `m`, `h`, `d`, or several of them (`1h30m`).
///
/// A bare number is refused: nobody can see whether `5` was meant as seconds or minutes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes * 60)
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Self::minutes(hours * 60)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || {
            format!("`{text}` is not a length of time: write a number and a unit, such as 90s, 5m, 8h or 2d")
        };
        let mut total = 0_u64;
        let mut rest = text;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refusal)?;
            let (number, tail) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| refusal())?;
            let mut tail = tail.chars();
            let unit = match tail.next() {
                Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3_600,
                Some('d') => 86_400,
                _ => return Err(refusal()),
            };
            // Each unit once, the larger first: `30m1h` is more likely a slip than a wish.
            if unit >= last_unit {
                return Err(refusal());
            }
            last_unit = unit;
            total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(refusal)?;
            rest = tail.as_str();
        }
        if last_unit == u64::MAX {
            return Err(refusal());
        }
        Ok(Self::seconds(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, letter) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
            if rest >= unit {
                write!(f, "{}{letter}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        text_or_number(input, "a length of time such as 90s, 5m or 8h")?.parse().map_err(D::Error::custom)
    }
}

/// A day of the calendar, `2026-12-31`, meant as the whole day in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The first second (Unix time) that is no longer this day: what ends with the day has ended then.
    #[must_use]
    pub fn end(self) -> u64 {
        (self.days_since_epoch() + 1) * 86_400
    }

    /// The day, in UTC, that a second of Unix time is part of.
    #[must_use]
    pub fn of(unix: u64) -> Self {
        // Years that begin in March, in eras of 400 years: the leap day is the last of its year.
        let days = unix / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let part = |number: u64| u8::try_from(number).unwrap_or(1);
        Self { year: u16::try_from(year).unwrap_or(9999), month: part(month), day: part(day) }
    }

    /// Days from 1970-01-01; the civil calendar counted in years that begin in March, so that the leap day is last.
    fn days_since_epoch(self) -> u64 {
        let (year, month, day) = (u64::from(self.year), u64::from(self.month), u64::from(self.day));
        let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + (day - 1);
        days - 719_468
    }

    fn days_in(month: u8, year: u16) -> u8 {
        let leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
        match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        }
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || format!("`{text}` is not a date: write year-month-day, such as 2026-12-31");
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part =
                parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()));
            part.and_then(|part| part.parse::<u16>().ok()).ok_or_else(refusal)
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        let (month, day) =
            (u8::try_from(month).map_err(|_| refusal())?, u8::try_from(day).map_err(|_| refusal())?);
        let possible = parts.next().is_none()
            && (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=Self::days_in(month, year)).contains(&day);
        if possible { Ok(Self { year, month, day }) } else { Err(refusal()) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        text_or_number(input, "a date such as 2026-12-31")?.parse().map_err(D::Error::custom)
    }
}

/// The month of a local time in seconds since 1970: months since the year 0.
pub(super) fn month_of(local: u64) -> u32 {
    // The inverse of `Date::days_since_epoch`: 400 years have 146,097 days, and years begin in March.
    let days = local / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    u32::try_from((era * 400 + year) * 12 + month + 2).unwrap_or(u32::MAX)
}

/// Reads a text, and a number as its text, so that `lease: 300` is explained by the type's own words ("write a unit")
/// and not as "expected a string".
pub(super) fn text_or_number<'de, D: Deserializer<'de>>(
    input: D,
    expected: &'static str,
) -> Result<String, D::Error> {
    struct TextOrNumber(&'static str);

    impl serde::de::Visitor<'_> for TextOrNumber {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }

    input.deserialize_any(TextOrNumber(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_found_again() {
        for days in (0..400_000).step_by(7).chain(11_000..12_000) {
            let date = Date::of(days * 86_400 + 5);
            assert_eq!((date.days_since_epoch(), date.to_string().parse()), (days, Ok(date)));
        }
    }

    #[test]
    fn months_change_at_midnight_before_their_first_day() {
        for year in [1970_u16, 1999, 2000, 2024, 2026, 2099, 2100] {
            for month in 1..=12_u8 {
                let first = Date { year, month, day: 1 }.end() - 86_400;
                let number = u32::from(year) * 12 + u32::from(month) - 1;
                assert_eq!(month_of(first), number, "{year}-{month}");
                if first > 0 {
                    assert_eq!(month_of(first - 1), number - 1, "{year}-{month}");
                }
            }
        }
    }

    #[test]
    fn spans_need_a_unit_and_print_as_they_are_written() {
        for (text, seconds) in
            [("90s", 90), ("5m", 300), ("8h", 28_800), ("2d", 172_800), ("1h30m", 5_400), ("0s", 0)]
        {
            assert_eq!(text.parse::<Span>(), Ok(Span::seconds(seconds)), "{text}");
        }
        for text in ["1h30m", "8h", "1d1s", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in
            ["", "5", "m", "5 m", "-5m", "5x", "1.5h", "30m1h", "5m5m", "99999999999999999999d", "5m3"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn dates_end_with_their_last_second_in_utc() {
        for (text, end) in [
            ("1970-01-01", 86_400),
            ("2000-02-29", 951_868_800),
            ("2026-12-31", 1_798_761_600),
            ("2024-02-28", 1_709_164_800),
            ("9999-12-31", 253_402_300_800),
        ] {
            assert_eq!(text.parse::<Date>().unwrap().end(), end, "{text}");
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "2026-13-01",
            "2026-02-29",
            "2026-00-10",
            "2026-1-1",
            "26-01-01",
            "2026-01-01x",
            "1969-12-31",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }
}
