//! The targets as libFuzzer sees them.

#[path = "targets/mod.rs"]
mod targets;

pub use libfuzzer_sys;

/// Runs a target.
///
/// # Panics
/// If there is none of this name, or it finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(bytes);
}

/// The whole of a libFuzzer binary for the target of this name.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::run($name, bytes));
    };
}
