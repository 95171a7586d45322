//! What passed the gateway's network interface, for Wireshark.

use super::{Packet, Proto};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};
use std::fs::File;
use std::io::BufWriter;
use std::net::IpAddr;
use std::time::Duration;

pub struct Pcap(PcapWriter<BufWriter<File>>);

impl Pcap {
    /// Opens `<dir>/<test>.pcap` if `SEKISHO_TEST_PCAP` names a directory.
    pub fn open(test: &str) -> Option<Self> {
        let dir = std::env::var_os("SEKISHO_TEST_PCAP")?;
        std::fs::create_dir_all(&dir).unwrap();
        let name = test.replace("::", "-");
        let file = File::create(std::path::Path::new(&dir).join(format!("{name}.pcap"))).unwrap();
        let header = PcapHeader {
            datalink: DataLink::RAW,
            ts_resolution: TsResolution::MicroSecond,
            ..PcapHeader::default()
        };
        Some(Self(PcapWriter::with_header(BufWriter::new(file), header).unwrap()))
    }

    pub fn write(&mut self, at: Duration, packet: &Packet) {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (packet.from.ip(), packet.to.ip()) else { return };
        let len = packet.wire_len() as u16;
        let mut bytes = vec![0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0, 0, 64, 0, 0, 0];
        bytes[9] = if packet.proto == Proto::Udp { 17 } else { 50 };
        bytes.extend(from.octets());
        bytes.extend(to.octets());
        if packet.proto == Proto::Udp {
            bytes.extend(packet.from.port().to_be_bytes());
            bytes.extend(packet.to.port().to_be_bytes());
            bytes.extend((len - 20).to_be_bytes());
            bytes.extend([0, 0]);
        }
        bytes.extend(&packet.bytes);
        let len = bytes.len() as u32;
        self.0.write_packet(&PcapPacket { timestamp: at, orig_len: len, data: bytes.into() }).unwrap();
    }
}
