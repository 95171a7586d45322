//! `docs/conformance.md` tells the truth, as far as a program can see: every requirement stands in its sequence, says
//! what has become of it, and names tests that exist and run. `docs/clients.md` knows every cause.
//!
//! Sources are read as the compiler reads them (comments and literals taken out, modules followed from the crate roots),
//! so that neither a commented-out test, nor one in a file that no module names, nor one that is ignored or switched off
//! counts as one.
#![allow(clippy::unwrap_used, reason = "a checker that cannot read its files has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The parts of the document in their order, and how many main numbers each must have at least: so many are promised.
const PARTS: &[(&str, u32)] = &[
    ("SOCKET", 8),
    ("IKE", 17),
    ("LIFE", 8),
    ("ESP", 8),
    ("L2TP", 9),
    ("PPP", 10),
    ("NAME", 8),
    ("HUB", 12),
    ("UPLINK", 5),
    ("SUITE", 8),
    ("KIND", 12),
    ("MANY", 6),
    ("REKEY", 10),
    ("SLEEP", 9),
    ("MTU", 8),
    ("AUTH", 9),
    ("DHCP", 6),
    ("CLIENT", 34),
    ("2407", 1),
    ("2408", 1),
    ("2409", 1),
    ("3947", 1),
    ("3948", 1),
    ("3706", 1),
    ("4303", 1),
    ("4868", 1),
    ("3602", 1),
    ("2403", 1),
    ("2404", 1),
    ("4106", 1),
    ("5903", 1),
    ("3526", 1),
    ("2661", 1),
    ("3145", 1),
    ("1661", 1),
    ("1332", 1),
    ("1877", 1),
    ("1334", 1),
    ("1994", 1),
    ("2759", 1),
    ("3748", 1),
    ("2131", 1),
    ("2132", 1),
    ("3442", 1),
    ("826", 1),
    ("5227", 1),
    ("4787", 13),
    ("5382", 9),
    ("5508", 9),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

// ---- Rust, as far as it matters here ----

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// The tokens of Rust source. Comments are gone; literals other than strings are signs that mean nothing.
fn rust_tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut i, mut tokens) = (0, Vec::new());
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            while i < chars.len() {
                match (chars[i], at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 1),
                    ('*', '/') => (depth, i) = (depth - 1, i + 1),
                    _ => {}
                }
                i += 1;
                if depth == 0 {
                    break;
                }
            }
        } else if c == '"' {
            let mut text = String::new();
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                if chars[i] == '\\' {
                    i += 1;
                }
                text.push(at(i));
                i += 1;
            }
            i += 1;
            tokens.push(Token::Text(text));
        } else if c == '\'' {
            // A lifetime, or a character: 'a', '\'', '\u{61}'.
            if at(i + 1) == '\\' {
                i += 3;
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
            } else {
                i += if at(i + 2) == '\'' { 3 } else { 1 };
            }
            tokens.push(Token::Sign('\''));
        } else if c.is_alphabetic() || c == '_' {
            let start = i;
            while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
            let raw = matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"';
            if raw {
                let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let rest: String = chars[i + hashes + 1..].iter().collect();
                let text = rest.split(&end).next().unwrap_or_default().to_owned();
                i += hashes + 1 + text.chars().count() + end.len();
                tokens.push(Token::Text(text));
            } else if !(matches!(word.as_str(), "b" | "c") && matches!(at(i), '"' | '\'')) {
                tokens.push(Token::Word(word));
            }
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Sign(c));
            }
            i += 1;
        }
    }
    tokens
}

/// The index behind the group that begins at `open`.
fn behind_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

fn word(token: Option<&Token>) -> Option<&str> {
    if let Some(Token::Word(word)) = token { Some(word) } else { None }
}

/// The attributes of one item.
#[derive(Clone, Default)]
struct Attributes {
    test: bool,
    /// Ignored, or only there under a condition that may not hold.
    absent: bool,
    path: Option<String>,
}

impl Attributes {
    fn add(&mut self, tokens: &[Token]) {
        let words: Vec<&str> = tokens.iter().filter_map(|token| word(Some(token))).collect();
        let first = words.first().copied().unwrap_or_default();
        match first {
            "path" => {
                let text = tokens
                    .iter()
                    .find_map(|token| if let Token::Text(text) = token { Some(text) } else { None });
                self.path = text.cloned();
            }
            "ignore" => self.absent = true,
            "cfg_attr" => self.absent |= words.contains(&"ignore"),
            "cfg" => {
                // What holds wherever the tests run.
                let fine = ["cfg", "test", "unix", "all", "target_os", "target_arch"];
                let value =
                    |token: &Token| matches!(token, Token::Text(text) if text != "linux" && text != "x86_64");
                self.absent |= words.iter().any(|word| !fine.contains(word)) || tokens.iter().any(value);
            }
            _ => self.test |= words.last() == Some(&"test") && !tokens.contains(&Token::Sign('(')),
        }
    }
}

/// Finds the tests of one crate.
#[derive(Default)]
struct Tests {
    found: BTreeSet<String>,
}

impl Tests {
    /// Reads a file as the module `module`. `owns_folder`: its own modules lie beside it, not in a folder of its name.
    fn file(&mut self, path: &Path, module: &str, owns_folder: bool) {
        let folder = path.parent().unwrap();
        let children = if owns_folder { folder.to_owned() } else { folder.join(path.file_stem().unwrap()) };
        self.items(&rust_tokens(&read(path)), module, folder, &children);
    }

    fn items(&mut self, tokens: &[Token], module: &str, folder: &Path, children: &Path) {
        let mut attributes = Attributes::default();
        let mut i = 0;
        while i < tokens.len() {
            let next = tokens.get(i + 1);
            match &tokens[i] {
                Token::Sign('#') if next == Some(&Token::Sign('[')) => {
                    let end = behind_group(tokens, i + 1);
                    attributes.add(&tokens[i + 2..end - 1]);
                    i = end;
                }
                Token::Sign('#') if next == Some(&Token::Sign('!')) => {
                    let end = behind_group(tokens, i + 2);
                    let mut own = Attributes::default();
                    own.add(&tokens[(i + 3).min(end)..end.saturating_sub(1).max((i + 3).min(end))]);
                    if own.absent {
                        return;
                    }
                    i = end;
                }
                Token::Word(kind) if kind == "mod" && word(next).is_some() => {
                    let name = word(next).unwrap();
                    let inner = join(module, name);
                    let there = !attributes.absent;
                    if tokens.get(i + 2) == Some(&Token::Sign('{')) {
                        let end = behind_group(tokens, i + 2);
                        if there {
                            self.items(&tokens[i + 3..end - 1], &inner, folder, &children.join(name));
                        }
                        i = end;
                    } else {
                        if there {
                            self.child(attributes.path.as_deref(), name, &inner, folder, children);
                        }
                        i += 3;
                    }
                    attributes = Attributes::default();
                }
                Token::Word(kind) if kind == "fn" && word(next).is_some() => {
                    if attributes.test && !attributes.absent {
                        self.found.insert(join(module, word(next).unwrap()));
                    }
                    i += 2;
                }
                Token::Word(name) if next == Some(&Token::Sign('!')) => {
                    // A macro: only proptest's holds tests that run as they stand.
                    let open =
                        (i + 2..tokens.len()).find(|i| matches!(tokens[*i], Token::Sign('(' | '[' | '{')));
                    let Some(open) = open else { return };
                    let end = behind_group(tokens, open);
                    if name == "proptest" && !attributes.absent {
                        self.items(&tokens[open + 1..end - 1], module, folder, children);
                    }
                    attributes = Attributes::default();
                    i = end;
                }
                Token::Sign('{') => {
                    attributes = Attributes::default();
                    i = behind_group(tokens, i);
                }
                Token::Sign('(' | '[') => i = behind_group(tokens, i),
                Token::Sign(';') => {
                    attributes = Attributes::default();
                    i += 1;
                }
                _ => i += 1,
            }
        }
    }

    fn child(&mut self, path: Option<&str>, name: &str, module: &str, folder: &Path, children: &Path) {
        if let Some(path) = path {
            return self.file(&folder.join(path), module, true);
        }
        let (file, inside) = (children.join(format!("{name}.rs")), children.join(name).join("mod.rs"));
        if file.exists() { self.file(&file, module, false) } else { self.file(&inside, module, true) }
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// Every test that `cargo test` runs: the library's and the program's by module path, those of `tests/` behind their
/// crate's name.
fn all_tests() -> BTreeSet<String> {
    let mut tests = Tests::default();
    tests.file(&root().join("src/lib.rs"), "", true);
    tests.file(&root().join("src/main.rs"), "", true);
    for (name, path) in test_crates(&read(&root().join("Cargo.toml"))) {
        tests.file(&root().join(path), &name, true);
    }
    tests.found
}

/// Name and path of every `[[test]]` of a Cargo.toml that runs under the usual harness.
fn test_crates(manifest: &str) -> Vec<(String, String)> {
    let mut crates = Vec::new();
    for section in manifest.split("\n[").filter_map(|section| section.strip_prefix("[test]]")) {
        let value = |key: &str| {
            let lines = section.lines().map(|line| line.split('#').next().unwrap_or_default());
            lines
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim() == key)
                .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        };
        if let (Some(name), Some(path), None) = (value("name"), value("path"), value("harness")) {
            crates.push((name, path));
        }
    }
    crates
}

// ---- interop scenarios ----

/// The code of a Python file: comments gone, every string a [`Token::Text`], and whether a token begins its line.
fn python_tokens(source: &str) -> Vec<(Token, bool)> {
    let chars: Vec<char> = source.chars().collect();
    let (mut i, mut tokens) = (0, Vec::new());
    while i < chars.len() {
        let begins_line = i == 0 || chars[i - 1] == '\n';
        let c = chars[i];
        if c == '#' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '"' || c == '\'' {
            let long = chars[i..].starts_with(&[c, c, c]);
            let end = if long { vec![c; 3] } else { vec![c] };
            i += end.len();
            let start = i;
            while i < chars.len() && !chars[i..].starts_with(&end) {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            let text = chars[start..i.min(chars.len())].iter().collect();
            tokens.push((Token::Text(text), begins_line));
            i += end.len();
        } else if c.is_alphanumeric() || c == '_' {
            let start = i;
            while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
                i += 1;
            }
            tokens.push((Token::Word(chars[start..i].iter().collect()), begins_line));
        } else {
            if !c.is_whitespace() {
                tokens.push((Token::Sign(c), begins_line));
            }
            i += 1;
        }
    }
    tokens
}

/// The cases of a scenario file, as `interop/run` finds them: the keys of CASES, or the file's own name.
fn cases_of(stem: &str, source: &str) -> Vec<String> {
    let tokens = python_tokens(source);
    let is = |i: usize, wanted: &str| matches!(tokens.get(i), Some((Token::Word(word), _)) if word == wanted);
    let sign = |i: usize| if let Some((Token::Sign(c), _)) = tokens.get(i) { *c } else { ' ' };
    let runs =
        (0..tokens.len()).any(|i| tokens[i].1 && is(i, "def") && is(i + 1, "scenario") && sign(i + 2) == '(');
    if !runs {
        return Vec::new();
    }
    let Some(begin) = (0..tokens.len()).find(|&i| tokens[i].1 && is(i, "CASES") && sign(i + 1) == '=') else {
        return vec![stem.replace('_', "-")];
    };
    let (mut depth, mut cases) = (0, Vec::new());
    for (i, (token, _)) in tokens.iter().enumerate().skip(begin + 2) {
        match token {
            Token::Sign('{' | '[' | '(') => depth += 1,
            Token::Sign('}' | ']' | ')') => depth -= 1,
            Token::Text(name) if depth == 1 && sign(i + 1) == ':' => cases.push(name.clone()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    cases
}

fn all_scenarios() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("interop/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "py") {
            found.extend(cases_of(path.file_stem().unwrap().to_str().unwrap(), &read(&path)));
        }
    }
    found
}

// ---- the document ----

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum State {
    Done,
    Not,
    NotYet,
}

#[derive(Debug)]
struct Row {
    line: usize,
    part: String,
    /// Main number, and the number behind the point if there is one.
    number: (u32, Option<u32>),
    state: Option<State>,
    proof: String,
}

/// Text that a reader of the rendered page sees in tables: no HTML comments, no code blocks.
fn visible(markdown: &str) -> Vec<(usize, String)> {
    let (mut commented, mut fenced) = (false, false);
    let mut lines = Vec::new();
    for (line, n) in markdown.lines().zip(1..) {
        let mut rest = line;
        let mut kept = String::new();
        loop {
            let mark = if commented { "-->" } else { "<!--" };
            let Some((before, after)) = rest.split_once(mark) else { break };
            if !commented {
                kept.push_str(before);
            }
            (commented, rest) = (!commented, after);
        }
        if !commented {
            kept.push_str(rest);
        }
        if kept.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((n, kept));
        }
    }
    lines
}

fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\u{1}");
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.replace('\u{1}', "|").trim().to_owned()).collect()
}

fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The requirements of the document, and what is wrong with their form.
fn rows_of(markdown: &str) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (line, text) in visible(markdown) {
        if !text.starts_with("| R-") {
            continue;
        }
        let cells = cells(&text);
        let [id, requirement, state, proof] = &cells[..] else {
            wrong.push(format!("line {line}: {} cells instead of 4", cells.len()));
            continue;
        };
        let parts: Vec<&str> = id.splitn(3, '-').collect();
        let number = parts.get(2).and_then(|number| match number.split_once('.') {
            None => Some((number.parse().ok()?, None)),
            Some((main, sub)) => Some((main.parse().ok()?, Some(sub.parse().ok()?))),
        });
        let Some(number) = number else {
            wrong.push(format!("line {line}: {id} is no number"));
            continue;
        };
        if requirement.is_empty() {
            wrong.push(format!("{id}: no requirement"));
        }
        let state = match state.as_str() {
            "done" => Some(State::Done),
            "deliberately not" => Some(State::Not),
            "not yet" => Some(State::NotYet),
            other => {
                wrong.push(format!("{id}: {other:?} is neither done, deliberately not, nor not yet"));
                None
            }
        };
        rows.push(Row { line, part: parts[1].to_owned(), number, state, proof: proof.clone() });
    }
    (rows, wrong)
}

impl Row {
    fn id(&self) -> String {
        let (main, sub) = self.number;
        let sub = sub.map(|sub| format!(".{sub}")).unwrap_or_default();
        format!("R-{}-{main}{sub} (line {})", self.part, self.line)
    }

    /// What is wrong with its last cell.
    fn check(&self, tests: &BTreeSet<String>, scenarios: &BTreeSet<String>) -> Vec<String> {
        let exists = |name: &str| match name.strip_prefix("interop: ") {
            Some(scenario) => scenarios.contains(scenario),
            None => tests.contains(name),
        };
        let mut wrong = Vec::new();
        let done = self.state == Some(State::Done);
        let names = backticked(&self.proof);
        for name in &names {
            // A requirement that is not met may speak of other things in backticks, but not of tests that are none.
            let claims = done || name.contains("::") || name.starts_with("interop:");
            if claims && !exists(name) {
                wrong.push(format!("{}: there is no test `{name}`", self.id()));
            }
        }
        if done && names.is_empty() {
            wrong.push(format!("{}: done, and no test says so", self.id()));
        }
        if !done && self.proof.split_whitespace().count() < 3 {
            wrong.push(format!("{}: not done, and no reason", self.id()));
        }
        wrong
    }
}

/// Whether `next` follows `last` in a sequence like 1, 2, 3.1, 3.2, 4.
fn follows(last: Option<(u32, Option<u32>)>, next: (u32, Option<u32>)) -> bool {
    match (last, next) {
        (None, next) => matches!(next, (1, None | Some(1))),
        (Some((main, Some(sub))), (same, Some(next))) if same == main => next == sub + 1,
        (Some((main, _)), (next, None | Some(1))) => next == main + 1,
        _ => false,
    }
}

fn check_sequence(rows: &[Row], parts: &[(&str, u32)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last: BTreeMap<&str, (u32, Option<u32>)> = BTreeMap::new();
    for row in rows {
        if !parts.iter().any(|(part, _)| *part == row.part) {
            wrong.push(format!("{}: there is no part {}", row.id(), row.part));
        }
        let before = last.insert(&row.part, row.number);
        if !follows(before, row.number) {
            wrong.push(format!("{}: does not follow the number before it", row.id()));
        }
    }
    for (part, least) in parts {
        let reached = last.get(part).map_or(0, |(main, _)| *main);
        if reached < *least {
            wrong.push(format!("part {part} ends at {reached}, of {least} at least"));
        }
    }
    wrong
}

/// The lines of the overview as they have to be: rows, done, deliberately not, not yet.
fn counts(rows: &[Row]) -> BTreeMap<String, [usize; 4]> {
    let mut counts = BTreeMap::new();
    for row in rows {
        for part in [row.part.as_str(), "all"] {
            let line: &mut [usize; 4] = counts.entry(part.to_owned()).or_default();
            line[0] += 1;
            if let Some(state) = row.state {
                line[1 + state as usize] += 1;
            }
        }
    }
    counts
}

/// What the overview says: part, then its numbers.
fn overview(markdown: &str) -> BTreeMap<String, [usize; 4]> {
    let mut said = BTreeMap::new();
    let lines = visible(markdown).into_iter().map(|(_, line)| line);
    let section =
        lines.skip_while(|line| line != "## Overview").skip(1).take_while(|line| !line.starts_with("## "));
    for line in section.filter(|line| line.starts_with('|')) {
        let cells = cells(&line);
        let numbers: Vec<usize> = cells.iter().skip(2).filter_map(|cell| cell.parse().ok()).collect();
        if let Ok(numbers) = <[usize; 4]>::try_from(numbers) {
            said.insert(cells[0].clone(), numbers);
        }
    }
    said
}

fn assert_nothing(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn document() -> String {
    read(&root().join("docs/conformance.md"))
}

#[test]
fn every_requirement_has_its_number_its_state_and_its_test() {
    let (rows, mut wrong) = rows_of(&document());
    let (tests, scenarios) = (all_tests(), all_scenarios());
    wrong.extend(rows.iter().flat_map(|row| row.check(&tests, &scenarios)));
    wrong.extend(check_sequence(&rows, PARTS));
    assert_nothing(&wrong);
}

#[test]
fn the_overview_counts_right() {
    let document = document();
    let (rows, _) = rows_of(&document);
    let (is, said) = (counts(&rows), overview(&document));
    let mut wrong = Vec::new();
    for part in PARTS.iter().map(|(part, _)| *part).chain(["all"]) {
        let is = is.get(part).copied().unwrap_or_default();
        if said.get(part) != Some(&is) {
            let [all, done, not, not_yet] = is;
            wrong.push(format!("overview: {part} has to be | {all} | {done} | {not} | {not_yet} |"));
        }
    }
    wrong.extend(
        said.keys().filter(|part| !is.contains_key(*part)).map(|part| format!("overview: what is {part}?")),
    );
    assert_nothing(&wrong);
}

/// The names of the causes, from the list that makes them.
fn causes() -> BTreeSet<String> {
    let tokens = rust_tokens(&read(&root().join("src/story/cause.rs")));
    let lists = tokens.windows(3).filter_map(|window| match window {
        [Token::Word(variant), Token::Sign('='), Token::Text(key)]
            if variant.starts_with(char::is_uppercase) =>
        {
            Some(key.clone())
        }
        _ => None,
    });
    lists.collect()
}

#[test]
fn clients_md_has_every_cause_and_no_other() {
    let causes = causes();
    assert!(causes.contains("wrong_psk") && causes.len() > 40, "{causes:?}");
    let document = read(&root().join("docs/clients.md"));
    let mut told = BTreeSet::new();
    let mut wrong = Vec::new();
    for (line, text) in visible(&document) {
        // The table of causes names each in its first cell; everywhere else, a cause is a link to it.
        if let Some(name) = text.strip_prefix("| <a id=\"").and_then(|rest| rest.split('"').next()) {
            if !causes.contains(name) {
                wrong.push(format!("clients.md:{line}: there is no cause {name}"));
            }
            told.insert(name.to_owned());
        }
        for name in text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            if name.contains('_') && !causes.contains(name) {
                wrong.push(format!("clients.md:{line}: a link to a cause {name}, which there is not"));
            }
        }
    }
    wrong.extend(causes.difference(&told).map(|name| format!("clients.md: no line for the cause {name}")));
    assert_nothing(&wrong);
}

/// `docs/stories.md`: each row names a cause that exists and tests that run, and those without a row are named as such.
#[test]
fn stories_md_has_a_test_for_each_cause_that_it_claims() {
    let (causes, tests, scenarios) = (causes(), all_tests(), all_scenarios());
    let document = read(&root().join("docs/stories.md"));
    let exists = |name: &str| match name.strip_prefix("interop: ") {
        Some(scenario) => scenarios.contains(scenario),
        None => tests.contains(name),
    };
    let mut wrong = Vec::new();
    let mut rows = 0;
    for (line, text) in visible(&document) {
        let cells: Vec<&str> = text.split('|').map(str::trim).collect();
        let ["", _, cause, within, proof, ""] = cells.as_slice() else { continue };
        let cause = cause.trim_matches('`');
        if cause == "cause" || cause.starts_with("---") {
            continue;
        }
        rows += 1;
        if !causes.contains(cause) {
            wrong.push(format!("stories.md:{line}: there is no cause {cause}"));
        }
        let is_time = |text: &str| {
            let parts = text.split_once(' ');
            parts.is_some_and(|(n, unit)| n.parse::<u32>().is_ok() && matches!(unit, "s" | "min"))
        };
        if !within.is_empty() && !is_time(within) {
            wrong.push(format!("stories.md:{line}: `{within}` is no time"));
        }
        let names = backticked(proof);
        wrong.extend(
            names.iter().filter(|name| !exists(name)).map(|n| format!("stories.md:{line}: no test `{n}`")),
        );
        if names.is_empty() {
            wrong.push(format!("stories.md:{line}: {cause} has no test"));
        }
    }
    let open = document.split("Not reproduced yet:").nth(1).unwrap_or_default();
    wrong.extend(
        backticked(open)
            .iter()
            .filter(|n| !causes.contains(**n))
            .map(|n| format!("stories.md: no cause {n}")),
    );
    assert!(rows >= 30, "{rows} rows are read");
    assert_nothing(&wrong);
}

/// The error numbers that `sekisho ctl why` says clients show.
fn shown_numbers() -> BTreeSet<String> {
    let tokens = rust_tokens(&read(&root().join("src/story/shown.rs")));
    let digit =
        |token: &Token| if let Token::Sign(c) = token { Some(*c).filter(char::is_ascii_digit) } else { None };
    let calls = tokens
        .windows(2)
        .enumerate()
        .filter(|(_, two)| matches!(two, [Token::Word(name), Token::Sign('(')] if name == "number"));
    calls
        .map(|(at, _)| tokens[at + 2..].iter().map_while(digit).collect())
        .filter(|n: &String| !n.is_empty())
        .collect()
}

#[test]
fn clients_md_explains_every_number_that_clients_show() {
    let numbers = shown_numbers();
    assert!(numbers.contains("691") && numbers.len() >= 10, "{numbers:?}");
    let document = read(&root().join("docs/clients.md"));
    let words: BTreeSet<&str> = document.split(|c: char| !c.is_alphanumeric()).collect();
    let missing: Vec<String> = numbers
        .iter()
        .filter(|number| !words.contains(number.as_str()))
        .map(|n| format!("clients.md: what is {n}?"))
        .collect();
    assert_nothing(&missing);
}

// ---- the checker itself ----

fn tests_in(source: &str) -> Vec<String> {
    let mut tests = Tests::default();
    tests.items(&rust_tokens(source), "m", Path::new(""), Path::new(""));
    tests.found.into_iter().collect()
}

#[test]
fn what_looks_like_a_test_and_is_none_is_not_found() {
    let source = r##"
        #[test] fn first() { let x: [u8; 2] = *b"a\""; let c = '"'; let l: &'static str = "}"; }
        // #[test] fn in_a_comment() {}
        /* #[test] /* nested */ fn in_a_block() {} */
        const TEXT: &str = "#[test] fn in_a_string() {}";
        const RAW: &str = r#" " #[test] fn in_a_raw_string() {} "#;
        #[test] #[ignore = "slow"] fn ignored() {}
        #[cfg_attr(all(), ignore)] #[test] fn ignored_too() {}
        #[cfg(any())] #[test] fn never_compiled() {}
        #[cfg(feature = "x")] mod gone { #[test] fn inside() {} }
        #[cfg(target_os = "macos")] #[test] fn elsewhere() {}
        macro_rules! make { () => { #[test] fn in_a_macro() {} } }
        swallow! { #[test] fn swallowed() {} }
        fn outer() { #[test] fn inside_a_function() {} }
        struct S; impl S { #[test] fn method() {} }
        fn no_test() {}
        #[cfg(test)] mod tests {
            #[should_panic] #[test] pub(crate) fn second() { panic!("'") }
            proptest! { #![proptest_config(x(1))] #[test] fn third(a in 0..5, b: u8) { } fn helper() {} }
            mod deep { #[cfg(all(test, unix))] #[test] fn fourth() {} }
        }
    "##;
    assert_eq!(
        tests_in(source),
        ["m::first", "m::tests::deep::fourth", "m::tests::second", "m::tests::third"]
    );
    assert!(tests_in("#![cfg(any())] #[test] fn switched_off() {}").is_empty());
}

#[test]
fn modules_are_followed_from_the_roots() {
    let tests = all_tests();
    for name in [
        "wire::natt::tests::the_three_kinds_are_told_apart",
        "ike::tests::main_mode::our_ranking_decides",
        "wire::inet::tests::nothing_panics",
        "cli::card::tests::people_get_a_card",
        "cli::check_says_ok_and_exits_with_0",
        "conformance::modules_are_followed_from_the_roots",
    ] {
        assert!(tests.contains(name), "{name}");
    }
    let manifest = "[package]\nname = \"x\"\n\n[[test]]\nname = \"a\"\npath = \"tests/a.rs\"\n# [[test]]\n# name = \"b\"\n";
    assert_eq!(test_crates(manifest), [("a".to_owned(), "tests/a.rs".to_owned())]);
}

#[test]
fn scenarios_are_found_as_interop_run_finds_them() {
    let plain = "\"\"\"A.\"\"\"\n# CASES = {\"x\": {}}\n\n\ndef scenario(rig):\n    pass\n";
    assert_eq!(cases_of("plain_esp", plain), ["plain-esp"]);
    let several = "CASES = {\"one\": {\"k\": {\"deep\": 1}},\n  # \"two\": {},\n  'three': {}}\ndef scenario(rig, k): pass\n";
    assert_eq!(cases_of("x", several), ["one", "three"]);
    assert!(cases_of("x", "# def scenario(rig):\n\"\"\"\ndef scenario(rig):\n\"\"\"\n").is_empty());
    assert!(all_scenarios().contains("two-behind-nat"));
}

#[test]
fn a_wrong_document_is_found_out() {
    let tests = BTreeSet::from(["a::b".to_owned()]);
    let scenarios = BTreeSet::from(["nat".to_owned()]);
    let complaints = |text: &str| {
        let (rows, mut wrong) = rows_of(text);
        wrong.extend(rows.iter().flat_map(|row| row.check(&tests, &scenarios)));
        wrong.extend(check_sequence(&rows, &[("X", 1)]));
        wrong
    };
    let good = "| R-X-1 | It works. | done | `a::b`, `interop: nat` |\n| R-X-2.1 | So. | not yet | the key `a.b` is missing |\n\
                | R-X-2.2 | So \\| so. | deliberately not | nobody asks for it |\n| R-X-3 | Yes. | done | see `a::b` |\n";
    assert_eq!(complaints(good), Vec::<String>::new());
    for (from, to, complaint) in [
        ("`a::b`, ", "`a::c`, ", "there is no test `a::c`"),
        ("interop: nat", "interop: gnat", "there is no test `interop: gnat`"),
        ("`a::b`, `interop: nat`", "tested", "no test says so"),
        ("see `a::b`", "<!-- `a::b` -->", "no test says so"),
        ("see `a::b`", "`a.b`", "there is no test"),
        ("nobody asks for it", "", "no reason"),
        ("the key `a.b` is missing", "see the test `c::d`", "there is no test `c::d`"),
        ("| done | see", "| finished | see", "neither done"),
        ("| R-X-2.2", "| R-X-2.3", "does not follow"),
        ("| R-X-3", "| R-X-4", "does not follow"),
        ("| R-X-3", "| R-Y-1", "there is no part Y"),
        ("| R-X-2.1", "<!-- -->| R-X-2.1 |", "5 cells"),
        ("| R-X-1", "```\n| R-X-1", "ends at 0"),
        ("| R-X-1", "<!--\n| R-X-1", "ends at 0"),
    ] {
        assert!(good.contains(from), "{from}");
        let found = complaints(&good.replacen(from, to, 1));
        assert!(found.iter().any(|text| text.contains(complaint)), "{from} -> {to}: {found:?}");
    }
}
