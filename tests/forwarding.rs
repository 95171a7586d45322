//! What the switch promises of every frame: nothing is allocated, and a hub of thousands costs no more than one of ten.
//! Alone in its process, because it counts what the process allocates.
#![allow(clippy::unwrap_used, reason = "a test that cannot prepare its hub has failed")]

use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::hub::{
    Forward, Hub, HubId, Ingress, KnownStation, Mac, Notices, PortId, Settings, UplinkPermit, lease,
};
use sekisho::identity::Authenticated;
use sekisho::identity::account::{Account, Credential, Proof, verify};
use sekisho::packet::{Drop, PacketBuf, WorkerId};
use sekisho::wire::ether::{Arp, EtherType, header};
use sekisho::wire::inet::{Network, udp_packet};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
const GATEWAY_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const NAS_MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);
const NAS: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 7);
const W0: WorkerId = WorkerId(0);

fn who(user: &str) -> Authenticated {
    let credential = Credential::Password(Secret::new(b"pw".to_vec()));
    let account = Account { user, hub: "HUB1", credential: &credential };
    verify(Some(account), &Proof::Pap { password: Secret::new(b"pw".to_vec()) }).unwrap().who
}

struct World {
    now: Instant,
    hub: Hub,
    clients: Vec<Ingress>,
    uplink: Ingress,
    notices: Notices,
}

impl World {
    fn new(clients: u32) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let now = Instant::now();
        let network: Network = "10.60.0.0/16".parse().unwrap();
        let settings = Settings::new(lease::Settings::of_network(network));
        let mut hub = Hub::new(now, HubId(1), "HUB1", settings, Entropy::from_number(1));
        let known = vec![
            KnownStation { mac: GATEWAY_MAC, addresses: vec![GATEWAY] },
            KnownStation { mac: NAS_MAC, addresses: vec![NAS] },
        ];
        let permit = UplinkPermit::uplink_by_configuration(known);
        let uplink = hub.open_uplink(now, PortId::new(WorkerId(1), 1), permit).unwrap();
        let user = who("jiro");
        let open = |n: u32| {
            let id = PortId::new(W0, n);
            let mut port = hub.open_client(now, id, &user, &format!("device {n}"), None).unwrap();
            port.set_address(Some(hub.assign(now, id, None, None).unwrap()));
            port
        };
        let clients = (0..clients).map(open).collect();
        Self { now, hub, clients, uplink, notices: Notices::default() }
    }

    fn ip(&self, from: usize, to: Mac, destination: Ipv4Addr) -> PacketBuf {
        let from = &self.clients[from];
        let packet = udp_packet((from.address().unwrap(), 5000), (destination, 5001), b"hello");
        framed(to, from.mac(), &packet)
    }

    fn send(&mut self, from: usize, frame: &[u8]) -> Forward {
        let look = self.hub.view().look(self.now);
        self.clients[from].forward(&look, frame, &mut self.notices)
    }
}

fn framed(to: Mac, from: Mac, packet: &[u8]) -> PacketBuf {
    let mut buf = PacketBuf::from_slice(packet);
    buf.put_front(&header(to, from, EtherType::IPV4));
    buf
}

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

#[test]
fn a_frame_allocates_nothing_and_its_cost_does_not_grow_with_the_ports() {
    let mut worlds = [10, 20_000].map(World::new);
    let mut costs = [Duration::MAX; 2];
    for (world, cost) in worlds.iter_mut().zip(&mut costs) {
        let last = world.clients.len() - 1;
        let (far, mac) = (world.clients[last].address().unwrap(), world.clients[last].mac());
        let unicast = world.ip(0, mac, far);
        let broadcast = world.ip(0, Mac::BROADCAST, Ipv4Addr::BROADCAST);
        let spoofed = framed(GATEWAY_MAC, world.clients[0].mac(), &udp_packet((NAS, 1), (GATEWAY, 2), b"x"));
        let asks = Arp::request(world.clients[0].mac(), world.clients[0].address().unwrap(), GATEWAY);
        let asks = asks.frame(Mac::BROADCAST);
        let answer = framed(world.clients[0].mac(), GATEWAY_MAC, &udp_packet((NAS, 1), (far, 2), b"x"));
        let turn = |world: &mut World| {
            assert_eq!(world.send(0, &unicast), Forward::To(PortId::new(W0, last as u32)));
            let _ = world.send(0, &broadcast);
            let _ = world.send(0, &asks);
            assert_eq!(world.send(0, &spoofed), Forward::Discard(Drop::SpoofedSource));
            let look = world.hub.view().look(world.now);
            assert_eq!(look.mac_of(far), Some(mac));
            let back = world.uplink.forward(&look, &answer, &mut world.notices);
            assert_eq!(back, Forward::To(PortId::new(W0, 0)));
        };
        // The first look of a thread makes what it needs for all others.
        turn(world);
        let before = allocations();
        for _ in 0..1000 {
            turn(world);
        }
        assert_eq!(allocations() - before, 0, "of {} ports", world.clients.len());
        for _ in 0..30 {
            #[expect(clippy::disallowed_methods, reason = "this is about time")]
            let began = Instant::now();
            for _ in 0..500 {
                turn(world);
            }
            *cost = began.elapsed().min(*cost);
        }
    }
    // Caches hold less of the larger one; a walk over the ports would be two thousand times the work.
    assert!(costs[1] < costs[0] * 10, "{costs:?}");
}
