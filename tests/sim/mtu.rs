//! Ways that are narrower than we hope: nothing falls into a hole, whatever its length.

use crate::net::nat::Nat;
use crate::traffic::OFFICE;
use crate::world::host::{announced_mss, dont_fragment, ping, syn};
use crate::world::{BEYOND, ClientId, OFFICE_GATEWAY, World};
use sekisho::client::Profile;
use sekisho::client::ike::profile::Android;
use sekisho::story::Cause;
use sekisho::wire::inet::{Ipv4, Protocol};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A client behind a way of this width, connected for half a minute.
fn behind(world: &mut World, profile: Profile, nat: bool, mtu: usize, fragments: bool) -> ClientId {
    let nat = nat.then(|| world.nat(Nat::home()));
    let client = world.client(profile, "jiro", nat);
    (world[client].line.mtu, world[client].line.fragments) = (mtu, fragments);
    world.connect(client);
    world.run_for(Duration::from_secs(30));
    client
}

/// The segment sizes that both ends of a TCP connection hear of.
fn segment_sizes(world: &mut World, client: ClientId, address: Ipv4Addr) -> [u16; 2] {
    world.send_ip(client, syn(address, BEYOND, 1460));
    world.run_for(Duration::from_secs(1));
    let there = announced_mss(world.gateway().uplinks[OFFICE].inbox.segments.last().unwrap()).unwrap();
    world.send_from_uplink(OFFICE, syn(BEYOND, address, 1460));
    world.run_for(Duration::from_secs(1));
    let back = announced_mss(world[client].inbox.segments.last().unwrap()).unwrap();
    [there, back]
}

/// An IP packet as long as a full segment, from the uplink to the client, and the answer of equal length.
fn assert_segments_pass(world: &mut World, client: ClientId, address: Ipv4Addr, mss: u16, what: &str) {
    // A ping of that length stands for the segment: IP header, 8 bytes of ICMP, data.
    let data = usize::from(mss) + 40 - 28;
    assert!(world.ping_with(client, OFFICE_GATEWAY, data), "{what}: up, {mss}");
    let before = world.gateway().uplinks[OFFICE].inbox.echoes.len();
    let echo = (99, before as u16);
    world.send_from_uplink(OFFICE, dont_fragment(ping(OFFICE_GATEWAY, address, echo, data)));
    let answered =
        world.run_until(Duration::from_secs(3), |w| w.gateway().uplinks[OFFICE].inbox.echoes.contains(&echo));
    assert!(answered, "{what}: down, {mss}");
}

/// What the sender of a packet that must not be cut hears: the MTU of "fragmentation needed".
fn refused_mtu(world: &mut World, address: Ipv4Addr) -> Option<u16> {
    world.gateway_mut().uplinks[OFFICE].inbox.errors.clear();
    world.send_from_uplink(OFFICE, dont_fragment(ping(OFFICE_GATEWAY, address, (7, 7), 1472)));
    world.run_for(Duration::from_secs(1));
    let error = world.gateway().uplinks[OFFICE].inbox.errors.last()?;
    let ip = Ipv4::parse(error).unwrap();
    assert_eq!(ip.protocol, Protocol::ICMP);
    assert_eq!(ip.payload[..2], [3, 4], "fragmentation needed and DF set");
    Some(u16::from_be_bytes([ip.payload[6], ip.payload[7]]))
}

/// Every way from 1280 to 1500 bytes, with fragments passing and with fragments dropped; NAT traversal and plain ESP; both
/// directions; segments of TCP as long as they may be; long packets that must not be cut.
#[test]
fn no_way_from_1280_to_1500_bytes_is_a_black_hole() {
    for mtu in (1280..=1500).step_by(if cfg!(debug_assertions) { 11 } else { 1 }).chain([1492, 1500]) {
        for (nat, profile) in [
            (true, Profile::android(Android::Seven)),
            (false, Profile::strongswan()),
            (true, Profile::ios17()),
        ] {
            for fragments in [true, false] {
                let what = format!("{} mtu {mtu}, nat {nat}, fragments {fragments}", profile.name);
                let mut world = World::new();
                let client = behind(&mut world, profile.clone(), nat, mtu, fragments);
                let address = world[client].address().unwrap();
                let sizes = segment_sizes(&mut world, client, address);
                let mss = sizes.into_iter().max().unwrap();
                assert!(mss >= 1000, "{what}: {sizes:?}");
                assert_segments_pass(&mut world, client, address, mss, &what);
                let told = refused_mtu(&mut world, address).unwrap_or_else(|| panic!("{what}: no word"));
                assert!(told >= mss + 40, "{what}: {told} for {mss}");
                // What is as long as that word says does pass.
                assert_segments_pass(&mut world, client, address, told - 40, &what);
            }
        }
    }
}

/// A way that is wide enough is asked once and used in full.
#[test]
fn a_wide_way_is_used_in_full() {
    let mut world = World::new();
    let client = behind(&mut world, Profile::ios17(), true, 1492, false);
    let address = world[client].address().unwrap();
    let mru = world[client].device.params().unwrap().mru;
    let sizes = segment_sizes(&mut world, client, address);
    assert_eq!(sizes, [mru - 40; 2]);
    assert_eq!(world.gateway().gatehouse.stories().running(None).next().unwrap().detail().note, "");
}

/// Nothing long passes at all, and short packets do: there is no cure, but a name for it.
#[test]
fn a_black_hole_without_a_way_round_is_named() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let client = world.client(Profile::android(Android::Seven), "jiro", home);
    world.lose(|_, packet| packet.esp().is_some() && packet.wire_len() > 600);
    world.connect(client);
    world.run_for(Duration::from_secs(60));
    assert!(world.ping_with(client, OFFICE_GATEWAY, 56) && !world.ping_with(client, OFFICE_GATEWAY, 1200));
    world.stop(client);
    assert_eq!(world.gateway().causes(), [Cause::MtuBlackHole]);
}

/// A device that falls silent right after it came is not taken for a hole in the way.
#[test]
fn silence_is_not_a_black_hole() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let client = world.client(Profile::android(Android::Seven), "jiro", home);
    world.connect(client);
    world.suspend(client);
    world.run_for(Duration::from_secs(60));
    world.wake(client);
    assert!(world.ping_with(client, OFFICE_GATEWAY, 1200));
    world.stop(client);
    assert_eq!(world.gateway().causes(), [Cause::PeerLeft]);
}

/// A suite that takes more room than others: what we ask the client to keep to is what fits.
#[test]
fn the_mru_that_we_ask_for_follows_the_suite() {
    use sekisho::crypto::suite::{EspAuth, EspCipher, EspSuite};
    for (auth, least, most) in [(EspAuth::HmacSha1_96, 1400, 1400), (EspAuth::HmacSha512_256, 1350, 1399)] {
        let mut profile = Profile::strongswan();
        std::sync::Arc::make_mut(&mut profile.ike).esp = vec![EspSuite::of(EspCipher::Aes256Cbc, auth)];
        let mut world = World::new();
        let home = world.nat(Nat::home());
        let client = world.client(profile, "jiro", home);
        world[client].line.mtu = 1492;
        let mru = world.connect(client).mru;
        assert!((least..=most).contains(&mru), "{auth}: {mru}");
        assert!(world.ping_with(client, OFFICE_GATEWAY, usize::from(mru) - 28), "{auth}");
    }
}
