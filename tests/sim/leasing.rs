//! Links whose addresses a DHCP server of the LAN gives.

use crate::traffic::OFFICE;
use crate::world::{OFFICE_GATEWAY, Office, World};
use sekisho::client::Profile;
use sekisho::story::Cause;
use sekisho::wire::dhcp::MessageType;
use std::net::Ipv4Addr;
use std::time::Duration;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 77);

fn lan() -> World {
    World::with(Office::default().office("uplink: { bridge: br0 }").office("address: lan-dhcp"))
}

#[test]
fn a_client_has_its_address_from_the_lan_and_gives_it_back() {
    let mut world = lan();
    world.gateway_mut().uplinks[OFFICE].dhcp = Some((ADDRESS, 120));
    let client = world.client(Profile::windows11(), "jiro", None);
    assert_eq!(world.connect(client).address, ADDRESS);
    assert!(world.ping(client, OFFICE_GATEWAY));
    assert_eq!(world.gateway().session("jiro").unwrap().address, Some(ADDRESS));
    // Prolonged as long as the client stays.
    world.run_for(Duration::from_secs(300));
    assert!(world.ping(client, OFFICE_GATEWAY));
    let heard = |world: &World, kind| {
        world.gateway().uplinks[OFFICE].heard.iter().filter(|heard| **heard == kind).count()
    };
    assert!(heard(&world, MessageType::REQUEST) >= 4);
    world.stop(client);
    world.run_for(Duration::from_secs(1));
    assert_eq!(heard(&world, MessageType::RELEASE), 1);
}

#[test]
fn a_silent_lan_is_named() {
    let mut world = lan();
    let client = world.client(Profile::macos(), "jiro", None);
    let _ = world.fail_to_connect(client);
    assert_eq!(world.gateway().causes(), [Cause::LanDhcpSilent]);
    assert_eq!(world.gateway().sessions(), 0);
}

#[test]
fn an_address_that_is_not_prolonged_ends_the_session() {
    let mut world = lan();
    world.gateway_mut().uplinks[OFFICE].dhcp = Some((ADDRESS, 120));
    let client = world.client(Profile::strongswan(), "jiro", None);
    world.connect(client);
    world.gateway_mut().uplinks[OFFICE].dhcp = None;
    world.run_for(Duration::from_secs(130));
    assert_eq!(world.gateway().causes(), [Cause::LanDhcpLost]);
}

#[test]
fn an_address_that_another_client_has_is_not_used() {
    let office = Office::default().office("uplink: { bridge: br0 }").office("address: lan-dhcp");
    let mut world = World::with(office.user("yas", &format!("address: {ADDRESS}")));
    world.gateway_mut().uplinks[OFFICE].dhcp = Some((ADDRESS, 120));
    let fixed = world.client(Profile::windows11(), "yas", None);
    assert_eq!(world.connect(fixed).address, ADDRESS);
    let other = world.client(Profile::windows10(), "jiro", None);
    let _ = world.fail_to_connect(other);
    assert!(world.ping(fixed, OFFICE_GATEWAY));
}
