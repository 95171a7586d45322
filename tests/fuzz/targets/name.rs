//! Names as users type them.

use sekisho::identity::{Rule, folded, parse, same_name};

/// A name, judged with one hub, with several, and with none by default.
pub(super) fn name(bytes: &[u8]) {
    let hubs: &[&str] = &["HUB1", "Büro", "hub\\2", "a@b"];
    for (hubs, default) in [(&hubs[..1], Some("HUB1")), (hubs, None), (hubs, Some("Büro")), (&[], None)] {
        let parsed = parse(bytes, hubs, default);
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains(&parsed.user), "the user is part of what was typed");
        assert_eq!(parsed.user, parse(bytes, hubs, default).user);
        match parsed.rule {
            Rule::Default => assert_eq!(parsed.hub.as_deref(), default),
            Rule::Prefix | Rule::Suffix => {
                let hub = parsed.hub.as_deref().expect("a rule that names a hub");
                assert!(hubs.contains(&hub));
                assert_eq!(parsed.would_be_hub, None);
            }
        }
        assert!(parsed.would_be_hub.as_ref().is_none_or(|hub| parsed.user.contains(hub.as_str())));
        assert!(parsed.to_string().contains(parsed.rule.name()));
        assert!(same_name(&parsed.user, &parsed.user.to_uppercase()) || !parsed.user.is_ascii());
        assert_eq!(folded(&folded(&parsed.user)), folded(&parsed.user));
    }
}
