//! How much and how fast: `500MB`, `10mbit`.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// Bits a second: a whole number and `kbit`, `mbit` or `gbit`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rate(pub u64);

/// Bytes: a whole number and `MB`, `GB` or `TB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Volume(pub u64);

/// Units and what they are worth, the smallest first. They are powers of 1000, as providers count.
type Units = [(&'static str, u64); 3];
const RATES: Units = [("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)];
const VOLUMES: Units = [("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000)];

fn read(text: &str, units: Units) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, worth) = units.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(worth)
}

fn write(f: &mut fmt::Formatter<'_>, amount: u64, units: Units) -> fmt::Result {
    let whole = units.into_iter().rev().find(|(_, worth)| amount >= *worth && amount.is_multiple_of(*worth));
    let (name, worth) = whole.unwrap_or(units[0]);
    write!(f, "{}{name}", amount / worth)
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal =
            || format!("`{text}` is not a rate: write bits a second, such as 512kbit, 10mbit or 1gbit");
        read(text, RATES).map(Self).ok_or_else(refusal)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, RATES)
    }
}

impl FromStr for Volume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || format!("`{text}` is not a volume: write bytes, such as 500MB, 50GB or 1TB");
        read(text, VOLUMES).map(Self).ok_or_else(refusal)
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, VOLUMES)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        super::units::text_or_number(input, "a rate such as 10mbit")?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Volume {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        super::units::text_or_number(input, "a volume such as 50GB")?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_volumes_need_a_unit_and_print_as_they_are_written() {
        for (text, bits) in
            [("512kbit", 512_000), ("10mbit", 10_000_000), ("1gbit", 1_000_000_000), ("0kbit", 0)]
        {
            assert_eq!(text.parse::<Rate>(), Ok(Rate(bits)));
            assert_eq!(Rate(bits).to_string(), text);
        }
        for (text, bytes) in [("500MB", 500_000_000), ("50GB", 50_000_000_000), ("2TB", 2_000_000_000_000)] {
            assert_eq!(text.parse::<Volume>(), Ok(Volume(bytes)));
            assert_eq!(Volume(bytes).to_string(), text);
        }
        assert_eq!("10Mbit".parse::<Rate>(), Ok(Rate(10_000_000)));
        for text in ["", "10", "mbit", "10 mbit", "1.5mbit", "-1mbit", "10mb", "99999999999999999999gbit"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        for text in ["5", "5GiB", "5Gbit", "GB", "99999999999TB"] {
            assert!(text.parse::<Volume>().is_err(), "{text}");
        }
    }
}
