//! What hubs are plugged into on this host: TAP interfaces, and the host's own forwarding behind them.

use super::cable::{Device, Uplink};
use super::host;
use super::inbox::{self, Inbox, Input, Plug};
use super::monitor::Feed;
use super::net_setup::{HostSetup, NatHub, SetupError};
use super::packet_socket::PacketSocket;
use super::tap::{Tap, name_for};
use super::usernat::Window;
use super::worker_thread::clock;
use crate::config::{self, Config, Dns, Network, Uplink as Kind, UplinkRules};
use crate::control::{Kind as Refused, Refusal};
use crate::gatehouse::Gatehouse;
use crate::hub::{HubId, Ingress, Mac, PortId, View, stable_mac};
use crate::identity::{folded, same_name};
use crate::packet::WorkerId;
use crate::usernat::{self, Limits};
use crate::worker::Worker;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

/// Monitors at a time.
const MONITORS: usize = 16;

/// MTU of a TAP: a link takes what its MRU allows, and TCP is told so (MSS), so the host may use Ethernet's own.
const MTU: u16 = 1500;

/// What a hub wants of the host.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wanted {
    hub: String,
    kind: Kind,
    /// For NAT: the hub's network and the host's address in it.
    nat: Option<(Network, Ipv4Addr)>,
    rules: UplinkRules,
}

impl Wanted {
    fn of(hub: &config::Hub) -> Option<Self> {
        let nat = hub.uplink.has_gateway().then_some((hub.network, hub.gateway));
        let (kind, rules) = (hub.uplink.clone(), hub.uplink_rules);
        (kind != Kind::None).then(|| Self { hub: hub.name.clone(), kind, nat, rules })
    }
}

/// An uplink that is open.
#[derive(Debug)]
struct Trunk {
    wanted: Wanted,
    port: PortId,
    interface: String,
    index: u32,
    /// Of a user-mode NAT: where its flows can be seen.
    window: Option<Window>,
}

/// What is behind an uplink's port, on the host.
struct Made {
    device: Device,
    interface: String,
    index: u32,
    window: Option<Window>,
}

/// The uplinks that are open, by their hubs' folded names.
#[derive(Debug, Default)]
pub(super) struct Trunks {
    open: BTreeMap<String, Trunk>,
    /// Monitors, and the hubs that they watch.
    monitors: Vec<(PortId, HubId)>,
    local_resolver: Option<Ipv4Addr>,
}

impl Trunks {
    /// Opens the uplinks of all hubs and gives each to a worker, the hubs in turn. Also returns them by worker.
    pub(super) async fn open_all(
        config: &Config,
        setup: &mut HostSetup,
        gatehouse: &mut Gatehouse,
        workers: &mut [Worker],
        inboxes: &Arc<[Inbox]>,
    ) -> anyhow::Result<(Self, BTreeMap<WorkerId, Vec<Option<Uplink>>>)> {
        let mut uplinks: BTreeMap<WorkerId, Vec<Option<Uplink>>> = BTreeMap::new();
        let mut trunks = Self { local_resolver: host::name_servers().first().copied(), ..Self::default() };
        for (wanted, n) in config.hubs.iter().filter_map(Wanted::of).zip(0..) {
            let at = n % workers.len().max(1);
            let Some(worker) = workers.get_mut(at) else { continue };
            let port = worker.reserve_trunk();
            let made = make(setup, &wanted, port, inboxes).await?;
            let (ingress, view) = plug_in(gatehouse, &wanted, port)?;
            worker.open_trunk(ingress, view);
            let device = trunks.note(wanted, port, made);
            uplinks.entry(port.worker()).or_default().push(Some(Uplink::new(port, device)));
        }
        for warning in setup.nat(&trunks.nat_hubs(config)).await? {
            tracing::warn!("{warning}");
        }
        Ok((trunks, uplinks))
    }

    /// Notes what is open, and gives the worker's part of it back.
    fn note(&mut self, wanted: Wanted, port: PortId, made: Made) -> Device {
        let Made { device, interface, index, window } = made;
        let trunk = Trunk { port, interface, index, wanted, window };
        self.open.insert(folded(&trunk.wanted.hub), trunk);
        device
    }

    /// The user-mode NATs: of one hub, or of all.
    pub(super) fn windows(&self, hub: Option<&str>) -> Vec<(String, Window)> {
        let wanted = |trunk: &&Trunk| hub.is_none_or(|hub| same_name(hub, &trunk.wanted.hub));
        let trunks = self.open.values().filter(wanted);
        trunks.filter_map(|trunk| Some((trunk.wanted.hub.clone(), trunk.window.clone()?))).collect()
    }

    /// What the host does for the hubs of a configuration whose uplinks are open.
    fn nat_hubs(&self, config: &Config) -> Vec<NatHub> {
        let hubs = config.hubs.iter().filter(|hub| hub.uplink.is_nat());
        hubs.filter_map(|hub| Some((hub, self.open.get(&folded(&hub.name))?)))
            .map(|(hub, trunk)| self.nat_hub(hub, trunk.interface.clone(), trunk.index))
            .collect()
    }

    fn nat_hub(&self, hub: &config::Hub, tap: String, index: u32) -> NatHub {
        let serves_dns = match &hub.dhcp.dns {
            Dns::OfHost => false,
            Dns::Servers(servers) => servers.contains(&hub.gateway),
        };
        NatHub {
            hub: hub.name.clone(),
            tap,
            index,
            network: hub.network,
            gateway: hub.gateway,
            name_server: self.local_resolver.filter(|_| serves_dns),
        }
    }

    /// Whether the host has room for what a new configuration wants.
    pub(super) fn check(&self, config: &Config, setup: &HostSetup) -> Result<(), SetupError> {
        let hubs = config.hubs.iter().filter(|hub| hub.uplink.is_nat());
        let new = hubs.filter(|hub| {
            self.open.get(&folded(&hub.name)).map(|trunk| &trunk.wanted) != Wanted::of(hub).as_ref()
        });
        let new: Vec<NatHub> = new.map(|hub| self.nat_hub(hub, name_for(&hub.name), 0)).collect();
        setup.check(&new)
    }

    /// Follows a reload that the gatehouse has followed already: closes what is no longer wanted, opens what is new.
    /// Returns what could not be done, for people; the rest goes on.
    pub(super) async fn follow(
        &mut self,
        before: &Config,
        config: &Config,
        setup: &mut HostSetup,
        gatehouse: &mut Gatehouse,
        inboxes: &Arc<[Inbox]>,
    ) -> Vec<String> {
        let mut failures = Vec::new();
        let may_watch = |hub: HubId| gatehouse.hub_config(hub).is_some_and(|hub| hub.monitor);
        let orphans = self.monitors.iter().filter(|(_, hub)| !may_watch(*hub));
        for port in orphans.map(|(port, _)| *port).collect::<Vec<_>>() {
            self.close_monitor(port, gatehouse, inboxes);
        }
        let wanted: BTreeMap<String, Wanted> =
            config.hubs.iter().filter_map(Wanted::of).map(|wanted| (folded(&wanted.hub), wanted)).collect();
        let before = self.nat_hubs(before);
        let stays = |name: &String, trunk: &Trunk| {
            // Another spelling of the hub's name is the same interface.
            let what = |wanted: &Wanted| (wanted.kind.clone(), wanted.nat);
            wanted.get(name).is_some_and(|new| what(new) == what(&trunk.wanted))
        };
        let gone: Vec<Trunk> =
            self.open.extract_if(.., |name, trunk| !stays(name, trunk)).map(|(_, trunk)| trunk).collect();
        for trunk in &gone {
            gatehouse.close_uplink(clock(), trunk.port);
            if let Some(inbox) = inbox::of_port(inboxes, trunk.port) {
                // The interface must have gone before one of the same name is made.
                inbox.unplug(trunk.port).await;
            }
            tracing::info!(
                hub = trunk.wanted.hub,
                interface = trunk.interface,
                step = "uplink",
                "uplink closed"
            );
        }
        for (name, trunk) in &mut self.open {
            let Some(new) = wanted.get(name).filter(|new| new.rules != trunk.wanted.rules) else { continue };
            trunk.wanted.rules = new.rules;
            // The cable stays: connections through it go on.
            let hub = gatehouse.hub_named(&new.hub);
            let policy = hub.and_then(|hub| gatehouse.renew_uplink(hub, trunk.port));
            if let Some((policy, inbox)) = policy.zip(inbox::of_port(inboxes, trunk.port)) {
                inbox.put(Input::Rules(trunk.port, policy));
            }
        }
        let used: Vec<&str> =
            config.hubs.iter().flat_map(|hub| hub.uplink.interfaces()).map(|(_, name)| name).collect();
        match setup.leave_bridges(&used) {
            Ok(undone) => undone.iter().for_each(|what| tracing::info!(what, step = "uplink", "taken back")),
            Err(error) => failures.push(error.to_string()),
        }
        let mut opened = 0;
        for (name, wanted) in wanted {
            if self.open.contains_key(&name) {
                continue;
            }
            opened += 1;
            let hub = wanted.hub.clone();
            if let Err(error) = self.open_later(wanted, setup, gatehouse, inboxes).await {
                failures.push(format!("hub {hub} has no uplink: {error:#}"));
            }
        }
        let now = self.nat_hubs(config);
        if opened > 0 || !gone.is_empty() || before != now {
            match setup.nat(&now).await {
                Ok(warnings) => failures.extend(warnings),
                Err(error) => failures.push(error.to_string()),
            }
        }
        failures
    }

    /// Sets a port number aside at the worker with the fewest uplinks.
    async fn reserve<'a>(&self, inboxes: &'a [Inbox]) -> anyhow::Result<(&'a Inbox, PortId)> {
        let monitors = self.monitors.iter().map(|(port, _)| *port);
        let inbox = inbox::least_used(inboxes, self.open.values().map(|trunk| trunk.port).chain(monitors))?;
        Ok((inbox, inbox.reserve().await?))
    }

    /// Plugs a monitor into a hub.
    pub(super) async fn open_monitor(
        &mut self,
        hub: &str,
        feed: Feed,
        gatehouse: &mut Gatehouse,
        inboxes: &[Inbox],
    ) -> Result<PortId, Refusal> {
        let failed = |error: String| Refusal::new(Refused::Failed, error);
        if self.monitors.len() >= MONITORS {
            return Err(Refusal::new(Refused::Busy, format!("there are {MONITORS} monitors already")));
        }
        let id =
            gatehouse.hub_named(hub).ok_or_else(|| Refusal::unknown(format!("there is no hub {hub}")))?;
        if gatehouse.hub_config(id).is_some_and(|hub| !hub.monitor) {
            let message = format!("hub {hub} may not be watched: the configuration says `monitor: false`");
            return Err(Refusal::new(Refused::Refused, message));
        }
        let (inbox, port) = self.reserve(inboxes).await.map_err(|error| failed(error.to_string()))?;
        match gatehouse.open_monitor(clock().now, id, port) {
            Ok((ingress, view)) => {
                self.monitors.push((port, id));
                inbox.put(Input::Plug(Box::new(Plug {
                    ingress,
                    view,
                    device: Device::Queue(Box::new(feed)),
                })));
                Ok(port)
            }
            Err(error) => {
                inbox.give_back(port);
                Err(failed(error.to_string()))
            }
        }
    }

    /// Takes a monitor out.
    pub(super) fn close_monitor(&mut self, port: PortId, gatehouse: &mut Gatehouse, inboxes: &[Inbox]) {
        let Some(at) = self.monitors.iter().position(|(known, _)| *known == port) else { return };
        self.monitors.swap_remove(at);
        gatehouse.close_uplink(clock(), port);
        if let Some(inbox) = inbox::of_port(inboxes, port) {
            inbox.give_back(port);
        }
    }

    /// Opens an uplink while the workers run.
    async fn open_later(
        &mut self,
        wanted: Wanted,
        setup: &mut HostSetup,
        gatehouse: &mut Gatehouse,
        inboxes: &Arc<[Inbox]>,
    ) -> anyhow::Result<()> {
        let (inbox, port) = self.reserve(inboxes).await?;
        let plugged = make(setup, &wanted, port, inboxes)
            .await
            .and_then(|made| Ok((made, plug_in(gatehouse, &wanted, port)?)));
        let (made, (ingress, view)) = plugged.inspect_err(|_| inbox.give_back(port))?;
        tracing::info!(hub = wanted.hub, interface = made.interface, step = "uplink", "uplink opened");
        let device = self.note(wanted, port, made);
        inbox.put(Input::Plug(Box::new(Plug { ingress, view, device })));
        Ok(())
    }
}

/// Makes what is behind a hub's uplink port, with its name and number on the host.
async fn make(
    setup: &mut HostSetup,
    wanted: &Wanted,
    port: PortId,
    inboxes: &Arc<[Inbox]>,
) -> anyhow::Result<Made> {
    let hub = &wanted.hub;
    let mut mac = gateway_mac(hub).0;
    let name = match &wanted.kind {
        Kind::UserNat => {
            let Some((network, gateway)) = wanted.nat else { anyhow::bail!("it has no gateway") };
            let (resolvers, limits) = (Vec::new(), Limits::default());
            let settings =
                usernat::Settings { mac: Mac(mac), gateway, network: network.into(), resolvers, limits };
            let (way, window) = super::usernat::start(port, settings, inboxes.clone())?;
            let (device, interface) = (Device::Queue(Box::new(way)), "usernat".to_owned());
            return Ok(Made { device, interface, index: 0, window: Some(window) });
        }
        Kind::Interface(name) => {
            setup.wire(name).await?;
            let device = Device::Wire(PacketSocket::open(name)?);
            return Ok(Made { device, interface: name.clone(), index: 0, window: None });
        }
        Kind::Tap(Some(name)) => name.clone(),
        Kind::Bridge { .. } => {
            // A bridge takes the lowest address of its ports for its own: ours must not be it.
            mac[0] = 0xFE;
            name_for(hub)
        }
        Kind::Auto | Kind::Nat | Kind::None | Kind::Tap(None) => name_for(hub),
    };
    let tap = Tap::create(&name)?;
    setup.link_up(&tap, mac, MTU).await?;
    if let Kind::Bridge { bridge, interface } = &wanted.kind {
        setup.bridge(&tap, bridge, interface.as_deref()).await?;
    }
    let index = tap.index();
    Ok(Made { device: Device::Tap(tap), interface: name, index, window: None })
}

/// The name of the interface that a hub's uplink has.
pub(super) fn tap_name(hub: &str) -> String {
    name_for(hub)
}

/// Opens the hub's port for an uplink.
fn plug_in(gatehouse: &mut Gatehouse, wanted: &Wanted, port: PortId) -> anyhow::Result<(Ingress, Arc<View>)> {
    let known = wanted.nat.is_some().then(|| gateway_mac(&wanted.hub));
    let hub = gatehouse.hub_named(&wanted.hub).context("there is no such hub")?;
    gatehouse
        .open_uplink(Instant::now(), hub, port, known)
        .with_context(|| format!("cannot plug in the uplink of hub {}", wanted.hub))
}

/// The gateway's MAC, the same after every start.
fn gateway_mac(hub: &str) -> Mac {
    stable_mac(hub, "", "gateway", 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{PacketBuf, Pool};
    use crate::shell::test_network::{isolated, run};
    use crate::uplink::LARGEST;
    use crate::wire::ether::{Arp, ArpOperation, EtherType, Frame, HEADER as ETHERNET, header};
    use crate::wire::inet::{self, Ipv4, Protocol, UDP_HEADER, udp_packet};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::time::Duration;

    const HOST: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 10);
    const HOST_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const CLIENT_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

    /// The far end of a TAP's cable, with a client behind it.
    struct Cable {
        uplink: Uplink,
        pool: Pool,
        space: Vec<u8>,
        /// Reads that gave more than one frame.
        large: usize,
    }

    impl Cable {
        fn new() -> Self {
            let tap = Tap::create("sk-test").unwrap();
            run("ip link set lo up");
            run(&format!("ip link set sk-test address {HOST_MAC} mtu 1500 up"));
            run(&format!("ip address add {HOST}/24 dev sk-test"));
            run(&format!("ip neighbour add {CLIENT} lladdr {CLIENT_MAC} dev sk-test"));
            let port = PortId::new(WorkerId(0), 0);
            Self {
                uplink: Uplink::new(port, Device::Tap(tap)),
                pool: Pool::default(),
                space: vec![0; LARGEST],
                large: 0,
            }
        }

        fn put(&mut self, mut packet: PacketBuf) {
            packet.put_front(&header(HOST_MAC, CLIENT_MAC, EtherType::IPV4));
            self.uplink.put(packet);
        }

        fn flush(&mut self) {
            self.uplink.flush(&mut self.pool);
        }

        /// Every IPv4 packet that comes within a while, until there is one that `last` knows.
        fn packets(&mut self, mut last: impl FnMut(&Ipv4<'_>) -> bool) -> Vec<Vec<u8>> {
            let mut out = Vec::new();
            for _ in 0..1000 {
                let mut frames = Vec::new();
                if !self.uplink.receive(&mut self.space, &mut self.pool, &mut frames).unwrap() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                self.large += usize::from(frames.len() > 1);
                for frame in frames {
                    let view = Frame::parse(&frame).unwrap();
                    if view.ethertype == EtherType::ARP {
                        let arp = Arp::parse(view.payload).unwrap();
                        assert_eq!(arp.operation, ArpOperation::REQUEST);
                    } else if view.ethertype == EtherType::IPV4 {
                        assert!(frame.len() <= ETHERNET + usize::from(MTU));
                        let ip = Ipv4::parse(view.payload).unwrap();
                        assert_eq!(inet::fold(inet::add(0, &view.payload[..ip.header_len])), 0);
                        let pseudo =
                            inet::pseudo_header(ip.source, ip.destination, ip.protocol, ip.payload.len());
                        assert_eq!(inet::fold(inet::add(pseudo, ip.payload)), 0, "checksum");
                        let end = last(&ip);
                        out.push(view.payload.to_vec());
                        if end {
                            return out;
                        }
                    }
                }
            }
            panic!("the last packet did not come; {} came", out.len());
        }
    }

    /// A TCP segment of the client.
    fn segment(port: u16, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> PacketBuf {
        let mut header = vec![0x12, 0x34];
        header.extend(port.to_be_bytes());
        header.extend(seq.to_be_bytes());
        header.extend(ack.to_be_bytes());
        header.extend([0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
        header.extend(payload);
        let pseudo = inet::pseudo_header(CLIENT, HOST, Protocol::TCP, header.len());
        let sum = inet::fold(inet::add(pseudo, &header));
        header[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut packet = PacketBuf::from_slice(&header);
        inet::put_ipv4(&mut packet, Protocol::TCP, CLIENT, HOST);
        // Its number in the flow, as far as anybody looks.
        packet[4..6].copy_from_slice(&((seq / 1000) as u16).to_be_bytes());
        packet[10..12].fill(0);
        let sum = inet::fold(inet::add(0, &packet[..20]));
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn connect(cable: &mut Cable) -> (TcpStream, u32, u16) {
        const SYN: u8 = 2;
        let listener = TcpListener::bind((HOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        cable.put(segment(port, 999, 0, SYN, &[]));
        cable.flush();
        let mut seq = 0;
        cable.packets(|ip| {
            let tcp = ip.payload;
            seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
            ip.protocol == Protocol::TCP && tcp[13] == 0x12
        });
        cable.put(segment(port, 1000, seq.wrapping_add(1), 0x10, &[]));
        cable.flush();
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        (stream, seq.wrapping_add(1), port)
    }

    #[test]
    fn the_kernel_takes_and_gives_large_tcp_frames() {
        isolated(|| {
            let mut cable = Cable::new();
            let (mut stream, ack, port) = connect(&mut cable);
            let sent: Vec<u8> = (0..30_000_u32).map(|n| (n / 7) as u8).collect();
            for (n, chunk) in sent.chunks(1000).enumerate() {
                cable.put(segment(port, 1000 + n as u32 * 1000, ack, 0x10, chunk));
            }
            cable.flush();
            let mut got = vec![0; sent.len()];
            stream.read_exact(&mut got).unwrap();
            assert!(got == sent);

            // The client has announced an MSS of nothing: the least that the kernel sends, 536.
            stream.write_all(&sent[..5000]).unwrap();
            let (mut back, mut large) = (Vec::new(), cable.large);
            cable.packets(|ip| {
                let tcp = ip.payload;
                if tcp.len() > 20 {
                    back.extend_from_slice(&tcp[usize::from(tcp[12] >> 4) * 4..]);
                }
                back.len() >= 5000
            });
            large = cable.large - large;
            assert!(back == sent[..5000]);
            assert!(large > 0, "no large frame came");
        });
    }

    #[test]
    fn the_kernel_takes_large_udp_frames_if_it_says_so() {
        isolated(|| {
            let mut cable = Cable::new();
            let socket = UdpSocket::bind((HOST, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let to = socket.local_addr().unwrap().port();
            for n in 0..40_u8 {
                let mut packet = udp_packet((CLIENT, 4660), (HOST, to), &[n; 300]);
                packet[4..6].copy_from_slice(&u16::from(n).to_be_bytes());
                packet[10..12].fill(0);
                let sum = inet::fold(inet::add(0, &packet[..20]));
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                cable.put(packet);
            }
            cable.flush();
            let mut buffer = [0; 2000];
            for n in 0..40_u8 {
                assert_eq!(socket.recv(&mut buffer).unwrap(), 300);
                assert_eq!(buffer[..300], [n; 300]);
            }
            socket.send_to(b"back", SocketAddr::from((CLIENT, 4660))).unwrap();
            let packets = cable.packets(|ip| ip.protocol == Protocol::UDP);
            assert_eq!(packets.last().unwrap()[20 + UDP_HEADER..], *b"back");
        });
    }
}
