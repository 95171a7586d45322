//! The configuration file. Its author is trusted, but makes mistakes; a mistake ends in a report.

use sekisho::config::{FileFacts, load};

/// Longer texts are only slower.
const LONGEST: usize = 16 * 1024;

/// A YAML text.
pub(super) fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
    let facts = FileFacts { name: "sekisho.yaml".to_owned(), mode: Some(0o600), now: 1_800_000_000 };
    match load(&text, &facts) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors().count(), 0);
            let config = loaded.config;
            assert!(!config.hubs.is_empty() && config.ipsec.psks.len() <= 16);
            assert!(config.default_hub.is_none_or(|hub| hub < config.hubs.len()));
            for hub in &config.hubs {
                assert!(hub.network.contains(hub.gateway));
                assert!(config.hub(&hub.name).is_some_and(|found| found.name == hub.name));
                for user in &hub.users {
                    assert!(hub.user(&user.name.to_lowercase()).is_some() || !user.name.is_ascii());
                }
            }
            let settings = config.peer_settings(true);
            assert!(settings.half_open_total > 0);
        }
        Err(report) => {
            assert!(report.errors().count() > 0, "a refusal has a reason");
            assert!(!report.to_string().is_empty());
        }
    }
}
