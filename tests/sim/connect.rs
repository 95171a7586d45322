//! Every kind of client connects.

use crate::net::nat::Nat;
use crate::world::{OFFICE_GATEWAY, World};
use sekisho::client::Profile;

#[test]
fn one_client_connects_and_pings() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let phone = world.client(Profile::ios17(), "jiro", home);
    let params = world.connect(phone);
    assert_eq!(params.gateway, OFFICE_GATEWAY);
    assert!(world.ping(phone, OFFICE_GATEWAY));
}
