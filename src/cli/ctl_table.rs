//! Tables and texts for a terminal: columns that line up in any script, cut rather than wrapped, and nothing in them that
//! a terminal would obey. (Names and notes come from strangers.)

use std::fmt::Write as _;

/// A column.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Numbers stand to the right.
    pub(super) right: bool,
    /// May be cut when the terminal is narrow.
    pub(super) elastic: bool,
}

/// A column of short texts.
pub(super) const fn text(title: &'static str) -> Column {
    Column { title, right: false, elastic: false }
}

/// A column of texts that may be cut.
pub(super) const fn long(title: &'static str) -> Column {
    Column { title, right: false, elastic: true }
}

/// A column of numbers.
pub(super) const fn number(title: &'static str) -> Column {
    Column { title, right: true, elastic: false }
}

/// Columns are cut no narrower than this.
const NARROWEST: usize = 8;

/// What stands between columns.
const GAP: usize = 2;

/// Lays a table out in at most `width` columns of the terminal, if that is possible and there is a limit.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let mut widths: Vec<usize> = columns.iter().map(|column| columns_of(column.title)).collect();
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = columns_of(cell).max(*width);
        }
    }
    if let Some(limit) = width {
        shrink(columns, &mut widths, limit);
    }
    let mut out = String::new();
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    for row in std::iter::once(&titles).chain(&cells) {
        let mut line = String::new();
        for ((column, width), cell) in columns.iter().zip(&widths).zip(row) {
            let cell = cut(cell, *width);
            let pad = " ".repeat(width - columns_of(&cell));
            let (before, after) = if column.right { (pad.as_str(), "") } else { ("", pad.as_str()) };
            let _ = write!(line, "{before}{cell}{after}{}", " ".repeat(GAP));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Takes from the widest elastic column until the table fits or nothing more can be taken.
fn shrink(columns: &[Column], widths: &mut [usize], limit: usize) {
    let whole = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    while whole(widths) > limit {
        let elastic = columns
            .iter()
            .zip(widths.iter_mut())
            .filter(|(column, width)| column.elastic && **width > NARROWEST);
        let Some((_, widest)) = elastic.max_by_key(|(_, width)| **width) else { return };
        *widest -= 1;
    }
}

/// Labels and texts below one another, the texts folded at blanks and indented.
pub(super) fn points(points: &[(&str, String)], width: Option<usize>) -> String {
    let label_width = points.iter().map(|(label, _)| columns_of(label)).max().unwrap_or_default();
    let room = width.unwrap_or(100).saturating_sub(label_width + GAP).max(20);
    let mut out = String::new();
    for (label, text) in points {
        let mut label = *label;
        for line in fold(&printable(text), room) {
            let _ = writeln!(out, "{label}{}{line}", " ".repeat(label_width + GAP - columns_of(label)));
            label = "";
        }
    }
    out
}

/// Folds a text into lines: at blanks, and between characters of scripts that write without them.
fn fold(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(|c: char| c == ' ' || wide(c)) {
        if columns_of(&line) + columns_of(word.trim_end()) > room && !line.is_empty() {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(word);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The text without anything that moves a cursor or turns writing around: control characters appear as `\u{1b}`.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Bidirectional controls and the byte order mark, too.
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || turns {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

fn cut(cell: &str, width: usize) -> String {
    if columns_of(cell) <= width {
        return cell.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in cell.chars() {
        used += if wide(c) { 2 } else { 1 };
        if used > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// How many columns of a terminal a text takes.
fn columns_of(text: &str) -> usize {
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

/// Characters that take two columns: the East Asian scripts (UAX #11, W and F), in whole blocks.
const fn wide(c: char) -> bool {
    matches!(c as u32,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        [["jiro", "7", "a cause that takes many words"], ["山田", "1234", "ユーザー"]]
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect()
    }

    #[test]
    fn columns_line_up_in_any_script() {
        let table = table(&[text("USER"), number("N"), long("CAUSE")], &rows(), None);
        assert_eq!(
            table,
            "USER     N  CAUSE\njiro     7  a cause that takes many words\n山田  1234  ユーザー\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_and_does_not_wrap() {
        let table = table(&[text("USER"), number("N"), long("CAUSE")], &rows(), Some(24));
        assert!(table.lines().all(|line| columns_of(line) <= 24), "{table}");
        assert!(table.contains("a cause tha…"), "{table}");
    }

    #[test]
    fn a_strangers_name_moves_no_cursor() {
        let name = "x\u{1b}[2Jy\u{202e}z\n";
        assert_eq!(printable(name), "x\\u{1b}[2Jy\\u{202e}z\\u{a}");
        assert!(!table(&[text("NAME")], &[vec![name.to_owned()]], None).contains('\u{1b}'));
    }

    #[test]
    fn texts_are_folded_under_their_labels() {
        let text = points(
            &[
                ("What", "one two three four five six".to_owned()),
                ("対処", "もう一度試してください。".to_owned()),
            ],
            Some(26),
        );
        assert_eq!(
            text,
            "What  one two three four\n      five six\n対処  もう一度試してくださ\n      い。\n"
        );
    }
}
