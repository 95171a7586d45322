//! Tests.
/// A point in time to count from.
#[allow(clippy::disallowed_methods)]
pub(super) fn start() -> std::time::Instant {
    std::time::Instant::now()
}
