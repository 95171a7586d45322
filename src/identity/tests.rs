use super::*;

const HUBS: &[&str] = &["HUB1", "Guests", "Büro", "ΣΟΦΟΣ", "a@b", "x y", "office.example"];
const DEFAULT: Option<&str> = Some("HUB1");

fn parsed(name: &str) -> Parsed {
    parse(name.as_bytes(), HUBS, DEFAULT)
}

/// Name as typed, user, hub, rule, would-be hub.
type Row = (&'static str, &'static str, &'static str, Rule, Option<&'static str>);

#[test]
fn every_rule_and_corner() {
    use Rule::{Default, Prefix, Suffix};
    #[rustfmt::skip]
    let table: &[Row] = &[
        // No separator: the default hub.
        ("jiro",                    "jiro",                   "HUB1",   Default, None),
        ("JIRO",                    "JIRO",                   "HUB1",   Default, None),
        ("",                        "",                       "HUB1",   Default, None),
        ("   ",                     "",                       "HUB1",   Default, None),
        ("HUB1",                    "HUB1",                   "HUB1",   Default, None),
        ("山田",                     "山田",                    "HUB1",   Default, None),
        // Blanks around, and only around.
        ("  jiro\t",                "jiro",                   "HUB1",   Default, None),
        ("\r\n jiro@guests \r\n",   "jiro",                   "Guests", Suffix,  None),
        ("ji ro",                   "ji ro",                  "HUB1",   Default, None),
        ("jiro @guests",            "jiro ",                  "Guests", Suffix,  None),
        ("jiro@ guests",            "jiro@ guests",           "HUB1",   Default, Some(" guests")),
        ("jiro@x y",                "jiro",                   "x y",    Suffix,  None),
        // Suffix.
        ("jiro@HUB1",               "jiro",                   "HUB1",   Suffix,  None),
        ("jiro@hub1",               "jiro",                   "HUB1",   Suffix,  None),
        ("jiro@GUESTS",             "jiro",                   "Guests", Suffix,  None),
        ("yas@nohub",               "yas@nohub",              "HUB1",   Default, Some("nohub")),
        ("jan@corp@guests",         "jan@corp",               "Guests", Suffix,  None),
        ("jan@guests@corp",         "jan@guests@corp",        "HUB1",   Default, Some("corp")),
        ("jan@corp.example",        "jan@corp.example",       "HUB1",   Default, Some("corp.example")),
        ("jan@corp.example@HUB1",   "jan@corp.example",       "HUB1",   Suffix,  None),
        ("jan@office.example",      "jan",                    "office.example", Suffix, None),
        ("jiro@",                   "jiro",                   "HUB1",   Default, None),
        ("jiro@guests@",            "jiro@guests",            "HUB1",   Default, None),
        ("@guests",                 "",                       "Guests", Suffix,  None),
        ("@nohub",                  "@nohub",                 "HUB1",   Default, Some("nohub")),
        ("@",                       "",                       "HUB1",   Default, None),
        ("@@",                      "@",                      "HUB1",   Default, None),
        ("jiro@a@b",                "jiro@a@b",               "HUB1",   Default, Some("b")),
        // Prefix.
        (r"HUB1\jiro",              "jiro",                   "HUB1",   Prefix,  None),
        (r"hub1\jiro",              "jiro",                   "HUB1",   Prefix,  None),
        (r"guests\jiro",            "jiro",                   "Guests", Prefix,  None),
        (r"a@b\jiro",               "jiro",                   "a@b",    Prefix,  None),
        (r"guests\jan@corp.example", "jan@corp.example",      "Guests", Prefix,  None),
        (r"guests\jiro@HUB1",       "jiro@HUB1",              "Guests", Prefix,  None),
        (r"guests\a\b",             r"a\b",                   "Guests", Prefix,  None),
        (r"guests\ jiro",           " jiro",                  "Guests", Prefix,  None),
        (r"guests \jiro",           r"guests \jiro",          "HUB1",   Default, Some("guests ")),
        // A prefix that is no hub (Windows adds its own domain): the @ is not tried.
        (r"DOMAIN\user",            r"DOMAIN\user",           "HUB1",   Default, Some("DOMAIN")),
        (r"DOMAIN\user@guests",     r"DOMAIN\user@guests",    "HUB1",   Default, Some("DOMAIN")),
        (r"DOMAIN\guests\user",     r"DOMAIN\guests\user",    "HUB1",   Default, Some("DOMAIN")),
        (r"user@guests\x",          r"user@guests\x",         "HUB1",   Default, Some("user@guests")),
        // A backslash at an end separates nothing: the @ is tried.
        (r"\jiro",                  r"\jiro",                 "HUB1",   Default, None),
        (r"\jiro@guests",           r"\jiro",                 "Guests", Suffix,  None),
        (r"\guests\jiro",           r"\guests\jiro",          "HUB1",   Default, None),
        (r"guests\",                r"guests\",               "HUB1",   Default, None),
        (r"jiro@guests\",           r"jiro@guests\",          "HUB1",   Default, Some(r"guests\")),
        (r"\",                      r"\",                     "HUB1",   Default, None),
        (r"\@guests",               r"\",                     "Guests", Suffix,  None),
        // Case beyond ASCII.
        ("jiro@BÜRO",               "jiro",                   "Büro",   Suffix,  None),
        (r"büro\jiro",              "jiro",                   "Büro",   Prefix,  None),
        ("jiro@σοφος",              "jiro",                   "ΣΟΦΟΣ",  Suffix,  None),
        ("jiro@σοφοσ",              "jiro",                   "ΣΟΦΟΣ",  Suffix,  None),
        ("山田@guests",              "山田",                    "Guests", Suffix,  None),
    ];
    assert!(table.len() >= 50);
    for &(name, user, hub, rule, would_be_hub) in table {
        let expected = Parsed {
            user: user.into(),
            hub: Some(hub.into()),
            rule,
            would_be_hub: would_be_hub.map(str::to_owned),
        };
        assert_eq!(parsed(name), expected, "{name:?}");
    }
}

#[test]
fn the_default_hub_may_be_missing() {
    let bare = parse(b"jiro", HUBS, None);
    assert_eq!((bare.user.as_str(), bare.hub, bare.rule), ("jiro", None, Rule::Default));
    let unknown = parse(b"jiro@nohub", HUBS, None);
    assert_eq!((unknown.hub, unknown.would_be_hub.as_deref()), (None, Some("nohub")));
    assert_eq!(parse(b"jiro@hub1", HUBS, None).hub.as_deref(), Some("HUB1"));
}

#[test]
fn bytes_that_are_no_text_match_nobody() {
    let parsed = parse(b"j\xfcrgen@guests", HUBS, DEFAULT);
    assert_eq!((parsed.user.as_str(), parsed.hub.as_deref()), ("j\u{fffd}rgen", Some("Guests")));
}

#[test]
fn a_diagnosis_reads_as_a_sentence() {
    assert_eq!(parsed("yas@guests").to_string(), "user yas, hub Guests (rule: suffix)");
    assert_eq!(
        parsed("yas@hub9").to_string(),
        "user yas@hub9, hub HUB1 (rule: default; there is no hub hub9)"
    );
    assert_eq!(parse(b"yas", HUBS, None).to_string(), "user yas, hub none (rule: default)");
}

#[test]
fn names_are_the_same_in_any_case() {
    for (a, b) in [("jiro", "JIRO"), ("Jürgen", "JÜRGEN"), ("straße", "STRASSE"), ("σοφος", "ΣΟΦΟΣ")]
    {
        assert!(same_name(a, b), "{a} {b}");
        assert_eq!(folded(a), folded(b));
    }
    assert!(!same_name("jiro", "jiro "));
    assert!(!same_name("e", "é"));
}

proptest::proptest! {
    #[test]
    fn parse_never_panics_and_loses_nothing(name: String) {
        let parsed = parsed(&name);
        let trimmed = name.trim();
        let again = match parsed.rule {
            Rule::Prefix => trimmed.ends_with(&format!("\\{}", parsed.user)),
            Rule::Suffix => trimmed.starts_with(&format!("{}@", parsed.user)),
            Rule::Default => trimmed == parsed.user || trimmed == format!("{}@", parsed.user),
        };
        proptest::prop_assert!(again);
    }
}
