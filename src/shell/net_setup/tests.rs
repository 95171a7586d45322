//! A host made of two network namespaces: ours with a TAP in it, and the world behind an uplink.

use super::*;
use crate::shell::{
    config_file,
    tap::HEADER,
    test_dir::TestDir,
    test_network::{Neighbour, isolated, output, run},
};
use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 10);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const WORLD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}

fn hub(tap: &Tap) -> NatHub {
    NatHub {
        hub: "HUB1".to_owned(),
        tap: tap.name().to_owned(),
        index: tap.index(),
        network: Network::containing(GATEWAY, 24),
        gateway: GATEWAY,
        name_server: Some(WORLD),
    }
}

/// An interface `up0` to the world, which answers at `WORLD`.
fn uplink(world: &Neighbour) {
    run("ip link set lo up");
    run(&format!("ip link add up0 type veth peer name w0 netns {}", world.name()));
    run(&format!("ip address add {HOST}/24 dev up0"));
    run("ip link set up0 up");
    world.inside(|| {
        run(&format!("ip address add {WORLD}/24 dev w0"));
        run("ip link set w0 up");
    });
}

/// An Ethernet frame from the client with a UDP datagram in it, checksums as a client makes them (UDP without).
fn frame(to: SocketAddr, from_port: u16, payload: &[u8]) -> Vec<u8> {
    let SocketAddr::V4(to) = to else { panic!("IPv4 only") };
    let length = |more: usize| u16::try_from(more + payload.len()).unwrap().to_be_bytes();
    let mut ip =
        [&[0x45, 0][..], &length(28), &[0, 1, 0, 0, 64, 17, 0, 0], &CLIENT.octets(), &to.ip().octets()]
            .concat();
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()).to_be_bytes());
    let udp = [&from_port.to_be_bytes()[..], &to.port().to_be_bytes(), &length(8), &[0, 0], payload].concat();
    [&[0; HEADER][..], &GATEWAY_MAC, &CLIENT_MAC, &[8, 0], &ip, &udp].concat()
}

/// The next IPv4/UDP packet to the client: its source and payload.
fn receive(tap: &Tap) -> Option<(SocketAddr, Vec<u8>)> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut buffer = [0; 2048];
    while Instant::now() < deadline {
        match tap.recv(&mut buffer) {
            Ok(length) => {
                let frame = &buffer[HEADER..length];
                if frame.len() > 42
                    && frame[12..14] == [8, 0]
                    && frame[23] == 17
                    && frame[30..34] == CLIENT.octets()
                {
                    let source = Ipv4Addr::new(frame[26], frame[27], frame[28], frame[29]);
                    let port = u16::from_be_bytes([frame[34], frame[35]]);
                    return Some((SocketAddr::from((source, port)), frame[42..].to_vec()));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5))
            }
            Err(error) => panic!("{error}"),
        }
    }
    None
}

fn listen(address: Ipv4Addr, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((address, port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn forwards(interface: &str) -> String {
    sysctl::get(&sysctl::forwarding(interface)).unwrap()
}

#[test]
fn a_client_reaches_the_world_with_the_hosts_address_and_everything_is_taken_back() {
    isolated(|| {
        let (world, state) = (Neighbour::new("nat"), TestDir::new());
        uplink(&world);
        let tap = Tap::create("sk-hub1").unwrap();
        let (mut setup, cleaned) = HostSetup::open(state.path()).unwrap();
        assert_eq!(cleaned, Vec::<String>::new());
        block_on(async {
            setup.link_up(&tap, GATEWAY_MAC, 1400).await.unwrap();
            assert_eq!(setup.nat(&[hub(&tap)]).await.unwrap(), Vec::<String>::new());
            // Again, as after a reload: nothing doubles.
            setup.nat(&[hub(&tap)]).await.unwrap();
        });
        let link = output("ip -br link show sk-hub1");
        assert!(link.contains("02:00:00:00:00:01") && link.contains("UP"), "{link}");
        assert!(output("ip -4 -br address show sk-hub1").contains("10.60.0.1/24"));
        assert_eq!(output("ip -6 address show sk-hub1"), "", "no IPv6 of the host on the hub");
        assert_eq!((forwards("up0").as_str(), forwards("sk-hub1").as_str()), ("1", "1"));
        assert_eq!(output("nft list tables").lines().count(), 1);

        run(&format!("ip neigh add {CLIENT} lladdr 02:00:00:00:00:10 dev sk-hub1"));
        let server = world.inside(|| listen(WORLD, 7));
        tap.send(&frame((WORLD, 7).into(), 4000, b"question")).unwrap();
        let mut buffer = [0; 100];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..length], from.ip()),
            (&b"question"[..], HOST.into()),
            "the host's address is in front"
        );
        server.send_to(b"answer", from).unwrap();
        assert_eq!(receive(&tap), Some(((WORLD, 7).into(), b"answer".to_vec())));

        // A question to the gateway's own address reaches the name server behind.
        let dns = world.inside(|| listen(WORLD, 53));
        tap.send(&frame((GATEWAY, 53).into(), 4001, b"who?")).unwrap();
        let (length, from) = dns.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"who?");
        dns.send_to(b"me", from).unwrap();
        assert_eq!(receive(&tap), Some(((GATEWAY, 53).into(), b"me".to_vec())), "and the gateway answers");

        // What nobody asked for does not reach the client, even if the world knows the way.
        world.inside(|| {
            run(&format!("ip route add 10.60.0.0/24 via {HOST}"));
            server.send_to(b"intruder", (CLIENT, 4000)).unwrap();
        });
        std::thread::sleep(Duration::from_millis(200));
        let mut rest = Vec::new();
        while let Ok(length) = tap.recv(&mut buffer) {
            rest.extend_from_slice(&buffer[..length]);
        }
        assert!(!rest.windows(8).any(|window| window == b"intruder"));

        let undone = setup.undo().unwrap();
        assert_eq!(undone.len(), 2, "{undone:?}");
        assert_eq!(forwards("up0"), "0");
        assert_eq!(output("nft list tables"), "");
    });
}

#[test]
fn an_interface_that_forwarded_nothing_forwards_for_nobody_else() {
    isolated(|| {
        let (world, lan, state) = (Neighbour::new("guard-w"), Neighbour::new("guard-l"), TestDir::new());
        uplink(&world);
        run(&format!("ip link add lan0 type veth peer name l0 netns {}", lan.name()));
        run("ip address add 198.51.100.1/24 dev lan0");
        run("ip link set lan0 up");
        lan.inside(|| {
            run("ip address add 198.51.100.9/24 dev l0");
            run("ip link set l0 up");
            run("ip route add default via 198.51.100.1");
        });
        world.inside(|| run(&format!("ip route add default via {HOST}")));
        let tap = Tap::create("sk-hub1").unwrap();
        let (mut setup, _) = HostSetup::open(state.path()).unwrap();
        block_on(async {
            setup.link_up(&tap, GATEWAY_MAC, 1400).await.unwrap();
            setup.nat(&[hub(&tap)]).await.unwrap();
        });
        assert_eq!(forwards("lan0"), "1");
        let server = lan.inside(|| listen(Ipv4Addr::new(198, 51, 100, 9), 7));
        server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let client = world.inside(|| listen(WORLD, 4000));
        let arrives = || {
            client.send_to(b"hello", (Ipv4Addr::new(198, 51, 100, 9), 7)).unwrap();
            server.recv_from(&mut [0; 10]).is_ok()
        };
        assert!(!arrives(), "the host has not become a router");
        drop(setup);
        run("nft flush ruleset");
        assert!(arrives(), "it was our rule");
    });
}

#[test]
fn a_start_after_a_kill_cleans_up() {
    isolated(|| {
        let (world, state) = (Neighbour::new("kill"), TestDir::new());
        uplink(&world);
        let tap = Tap::create("sk-hub1").unwrap();
        let (mut setup, _) = HostSetup::open(state.path()).unwrap();
        block_on(async {
            setup.link_up(&tap, GATEWAY_MAC, 1400).await.unwrap();
            setup.nat(&[hub(&tap)]).await.unwrap();
        });
        let left = output("nft list tables");
        // What kill -9 does: file descriptors close, nothing else happens.
        drop((setup, tap));
        assert_eq!((output("nft list tables"), forwards("up0").as_str()), (left.clone(), "1"));

        let (setup, cleaned) = HostSetup::open(state.path()).unwrap();
        assert_eq!(cleaned.len(), 2, "{cleaned:?}");
        assert!(left.contains(cleaned[0].rsplit(' ').next().unwrap()), "{left} {cleaned:?}");
        assert_eq!((output("nft list tables"), forwards("up0").as_str()), (String::new(), "0"));
        drop(setup);
        assert_eq!(HostSetup::open(state.path()).unwrap().1, Vec::<String>::new());
    });
}

#[test]
fn a_setting_that_somebody_else_made_is_left_alone() {
    isolated(|| {
        let (world, state) = (Neighbour::new("sysctl"), TestDir::new());
        uplink(&world);
        sysctl::set("net/ipv4/conf/up0/forwarding", "1").unwrap();
        let tap = Tap::create("sk-hub1").unwrap();
        let (mut setup, _) = HostSetup::open(state.path()).unwrap();
        block_on(async {
            setup.link_up(&tap, GATEWAY_MAC, 1400).await.unwrap();
            setup.nat(&[hub(&tap)]).await.unwrap();
        });
        setup.undo().unwrap();
        assert_eq!(forwards("up0"), "1", "it was on before us");
    });
}

#[test]
fn a_network_in_use_is_refused_with_a_free_one() {
    isolated(|| {
        let (world, state) = (Neighbour::new("used"), TestDir::new());
        uplink(&world);
        run("ip address add 10.60.0.77/26 dev up0");
        let tap = Tap::create("sk-hub1").unwrap();
        let (mut setup, _) = HostSetup::open(state.path()).unwrap();
        let error = block_on(setup.nat(&[hub(&tap)])).unwrap_err().to_string();
        insta::assert_snapshot!(error, @r"
        the network 10.60.0.0/24 of hub HUB1 is in use on this host: up0 has 10.60.0.64/26
            hint: give the hub another network, such as 10.61.0.0/24
        ");
        assert_eq!(output("nft list tables"), "");
    });
}

#[test]
fn a_chain_that_drops_forwarded_packets_is_named() {
    isolated(|| {
        let (world, state) = (Neighbour::new("docker"), TestDir::new());
        uplink(&world);
        let rules = state.path().join("rules");
        let text = b"table ip filter {\n chain FORWARD {\n type filter hook forward priority 0; policy drop;\n }\n}\n";
        config_file::write_private(&rules, text).unwrap();
        run(&format!("nft -f {}", rules.display()));
        let tap = Tap::create("sk-hub1").unwrap();
        let (mut setup, _) = HostSetup::open(state.path()).unwrap();
        let warnings = block_on(async {
            setup.link_up(&tap, GATEWAY_MAC, 1400).await.unwrap();
            setup.nat(&[hub(&tap)]).await.unwrap()
        });
        insta::assert_snapshot!(warnings.join("\n"), @r"
        the packet filter's chain FORWARD of table filter drops what it is not told to forward, clients' traffic too; unless a rule there allows it: iptables -I FORWARD -i sk-hub1 -j ACCEPT; iptables -I FORWARD -o sk-hub1 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
        ");
    });
}

#[test]
fn the_table_reads_well() {
    isolated(|| {
        let hub = |name: &str, tap: &str, network: &str, name_server| {
            let network: Network = network.parse().unwrap();
            let gateway = network.first_host();
            NatHub { hub: name.to_owned(), tap: tap.to_owned(), index: 1, network, gateway, name_server }
        };
        let hubs = [
            hub("HUB1", "sk-hub1", "10.60.0.0/24", Some(WORLD)),
            hub("GUESTS", "sk-guests", "10.61.0.0/24", None),
        ];
        rules::apply(&rules::table("sekisho_test", &hubs, &["eth0".to_owned()])).unwrap();
        insta::assert_snapshot!(output("nft -s list ruleset"), @r#"
        table inet sekisho_test {
        	chain forward {
        		type filter hook forward priority filter; policy accept;
        		iifname "eth0" oifname != { "sk-hub1", "sk-guests" } ct status dnat accept comment "port forwardings of others"
        		iifname "eth0" oifname != { "sk-hub1", "sk-guests" } ct state new drop comment "without Sekisho, these interfaces forward nothing"
        		iifname "sk-hub1" oifname "sk-guests" drop comment "hubs are apart"
        		iifname "sk-hub1" ip saddr != 10.60.0.0/24 drop comment "addresses of the hub only"
        		iifname "sk-guests" oifname "sk-hub1" drop comment "hubs are apart"
        		iifname "sk-guests" ip saddr != 10.61.0.0/24 drop comment "addresses of the hub only"
        		iifname { "sk-hub1", "sk-guests" } meta nfproto ipv6 drop comment "no IPv6 through this uplink"
        		iifname { "sk-hub1", "sk-guests" } tcp flags syn tcp option maxseg size set rt mtu comment "TCP segments that fit the way"
        		oifname { "sk-hub1", "sk-guests" } tcp flags syn tcp option maxseg size set rt mtu comment "TCP segments that fit the way"
        		iifname { "sk-hub1", "sk-guests" } accept comment "clients reach the world"
        		oifname { "sk-hub1", "sk-guests" } ct state established,related accept comment "and its answers them"
        		oifname { "sk-hub1", "sk-guests" } drop comment "nothing unasked"
        	}

        	chain prerouting {
        		type nat hook prerouting priority dstnat; policy accept;
        		iifname "sk-hub1" ip daddr 10.60.0.1 udp dport 53 dnat ip to 192.0.2.9 comment "DNS of hub HUB1"
        		iifname "sk-hub1" ip daddr 10.60.0.1 tcp dport 53 dnat ip to 192.0.2.9 comment "DNS of hub HUB1"
        	}

        	chain postrouting {
        		type nat hook postrouting priority srcnat; policy accept;
        		ip saddr 10.60.0.0/24 oifname != "sk-hub1" masquerade comment "hub HUB1"
        		ip saddr 10.61.0.0/24 oifname != "sk-guests" masquerade comment "hub GUESTS"
        	}
        }
        "#);
        assert!(rules::remove("sekisho_test") && !rules::remove("sekisho_test"));
    });
}

#[test]
fn what_nft_says_is_passed_on() {
    isolated(|| {
        let hub = NatHub {
            hub: "H".to_owned(),
            tap: "a name that is far too long".to_owned(),
            index: 1,
            network: Network::containing(GATEWAY, 24),
            gateway: GATEWAY,
            name_server: None,
        };
        let error = rules::apply(&rules::table("sekisho_test", &[hub], &[])).unwrap_err().to_string();
        assert!(error.contains("nft refused the NAT rules: ") && error.contains("rror: "), "{error}");
        assert_eq!(output("nft list tables"), "", "nothing is half there");
    });
}

/// What the host has in its bridges: names of ports by bridge.
fn ports(bridge: &str) -> Vec<String> {
    let listing = output(&format!("ip -o link show master {bridge}"));
    let name = |line: &str| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned());
    listing.lines().filter_map(name).collect()
}

#[test]
fn a_bridge_is_made_with_an_interface_in_it_and_undone() {
    isolated(|| {
        let dir = TestDir::new();
        run("ip link add lan0 type veth peer name far0");
        let (mut setup, _) = HostSetup::open(dir.path()).unwrap();
        let tap = Tap::create("sk-test").unwrap();
        block_on(async {
            setup.link_up(&tap, [0xFE, 0, 0, 0, 0, 1], 1500).await.unwrap();
            setup.bridge(&tap, "br-vpn", Some("lan0")).await.unwrap();
        });
        assert_eq!(ports("br-vpn"), ["lan0", "sk-test"]);
        assert!(output("ip -o link show lan0").contains("UP"));
        // Killed: the TAP is gone with the process, the rest is found in the note.
        drop(tap);
        drop(setup);
        let (setup, cleaned) = HostSetup::open(dir.path()).unwrap();
        assert_eq!(
            cleaned,
            ["switched lan0 off again", "took lan0 out of its bridge", "removed the bridge br-vpn"]
        );
        let links = output("ip -o link");
        assert!(!links.contains("br-vpn") && links.contains("lan0"), "{links}");
        assert_eq!(setup.undo().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_bridge_that_is_there_is_joined_and_stays() {
    isolated(|| {
        let dir = TestDir::new();
        run("ip link add br0 type bridge");
        run("ip link set br0 up");
        run("ip address add 192.0.2.1/24 dev br0");
        let before = output("ip -o link show br0");
        let (mut setup, _) = HostSetup::open(dir.path()).unwrap();
        let tap = Tap::create("sk-test").unwrap();
        block_on(async {
            setup.link_up(&tap, [0xFE, 0, 0, 0, 0, 1], 1500).await.unwrap();
            setup.bridge(&tap, "br0", None).await.unwrap();
        });
        assert_eq!(ports("br0"), ["sk-test"]);
        assert_eq!(setup.undo().unwrap(), Vec::<String>::new());
        drop(tap);
        assert!(ports("br0").is_empty());
        assert!(output("ip -o address show br0").contains("192.0.2.1/24"));
        assert_eq!(
            before.split_ascii_whitespace().nth(1),
            output("ip -o link show br0").split_ascii_whitespace().nth(1)
        );
    });
}

#[test]
fn what_the_host_needs_is_not_put_into_a_bridge() {
    isolated(|| {
        let dir = TestDir::new();
        run("ip link add lan0 type veth peer name far0");
        run("ip address add 192.0.2.1/24 dev lan0");
        run("ip link add br1 type bridge");
        run("ip link set far0 master br1");
        let (mut setup, _) = HostSetup::open(dir.path()).unwrap();
        let tap = Tap::create("sk-test").unwrap();
        let mut refusal = |bridge: &str, interface| {
            block_on(setup.bridge(&tap, bridge, interface)).unwrap_err().to_string()
        };
        let said = refusal("br-vpn", Some("lan0"));
        assert!(said.contains("192.0.2.1") && said.contains("hint: make a bridge"), "{said}");
        assert!(refusal("br-vpn", Some("far0")).contains("in another one"));
        assert!(refusal("br-vpn", Some("none0")).contains("no such interface"));
        assert!(refusal("lan0", None).contains("it is none"));
        // What was begun is taken back, by a reload that names none of it or at the end.
        assert_eq!(setup.leave_bridges(&[]).unwrap(), ["removed the bridge br-vpn"]);
    });
}
