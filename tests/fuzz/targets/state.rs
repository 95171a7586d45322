//! What a former run left in its state directory: leases and stories. Whoever can write there is trusted; a disk is not.

use super::steps::origin;
use sekisho::hub::lease::{Pool, Settings};
use sekisho::hub::snapshot::{Clocks, Saved};
use sekisho::story::Record;
use sekisho::wire::inet::Network;
use std::collections::BTreeMap;
use std::time::Duration;

/// A JSON text.
pub(super) fn state(bytes: &[u8]) {
    if let Ok(leases) = serde_json::from_slice::<BTreeMap<String, Vec<Saved>>>(bytes) {
        let text = serde_json::to_string(&leases).expect("what was read can be written");
        assert_eq!(
            serde_json::from_str::<BTreeMap<String, Vec<Saved>>>(&text).expect("our own text"),
            leases
        );
        leases.into_values().for_each(restore);
    }
    if let Ok(records) = serde_json::from_slice::<Vec<Record>>(bytes) {
        let text = serde_json::to_string(&records).expect("what was read can be written");
        let again: Vec<Record> = serde_json::from_str(&text).expect("our own text");
        assert_eq!(again.len(), records.len());
    }
}

fn restore(saved: Vec<Saved>) {
    let network: Network = "10.60.0.0/24".parse().expect("a network");
    let clocks = Clocks { now: origin(), unix: 1_800_000_000 };
    let mut pool = Pool::new(Settings::of_network(network));
    let taken = pool.load(clocks, saved.clone());
    assert!(taken <= saved.len());
    assert!(pool.leases(None).all(|lease| network.is_host(lease.address)), "a lease outside its network");
    let kept = pool.save(clocks, None, usize::MAX);
    assert!(kept.len() <= taken);
    let mut second = Pool::new(Settings::of_network(network));
    assert_eq!(second.load(clocks, kept.clone()), kept.len(), "what was saved is taken again");
    assert_eq!(second.save(clocks, None, usize::MAX), kept);
    // Time goes by: whatever has an end ends, once each.
    let mut rounds = 0;
    while let Some(at) = pool.poll_timeout() {
        while pool.expire(at + Duration::from_secs(1)).is_some() {}
        rounds += 1;
        assert!(rounds <= taken + 1, "the pool's timer does not advance");
    }
}
