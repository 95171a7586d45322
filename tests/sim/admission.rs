//! Who may come in, how, and until when: what the configuration says is what clients meet.

use crate::net::nat::Nat;
use crate::world::{ClientId, OFFICE_GATEWAY, Office, World};
use sekisho::client::Profile;
use sekisho::ppp::AuthMethod;

fn at_home(world: &mut World, profile: Profile, name: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, name, home)
}

/// A client that can do one protocol alone gets it if it is in the list, whatever is offered first.
#[test]
fn every_protocol_of_the_list_lets_its_clients_in() {
    let all = [
        AuthMethod::MsChapV2,
        AuthMethod::ChapMd5,
        AuthMethod::Pap,
        AuthMethod::EapMsChapV2,
        AuthMethod::EapMd5,
    ];
    for method in all {
        let office = Office::default().top("ppp: { auth: [mschapv2, eap-md5, chap, eap-mschapv2, pap] }");
        let mut world = World::with(office);
        let mut profile = Profile::strongswan();
        profile.ppp = profile.ppp.with_auth(&[method]);
        let client = at_home(&mut world, profile, "jiro");
        assert_eq!(world.connect(client).auth, Some(method));
        assert!(world.ping(client, OFFICE_GATEWAY));
        world.stop(client);
        assert_eq!(world.gateway().last_story().detail.auth, method.name());
    }
}
