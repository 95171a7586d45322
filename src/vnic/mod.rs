#![allow(missing_docs)]
use crate::hub::{Mac, View};
use crate::packet::{Drop, PacketBuf};
use std::net::Ipv4Addr;
use std::time::Instant;
pub struct Vnic;
impl Vnic {
    pub fn new(_mac: Mac, _address: Ipv4Addr, _prefix: u8, _gateway: Ipv4Addr) -> Self { Self }
    pub fn set_mtu(&mut self, _mtu: u16) {}
    pub fn announce(&mut self, _out: &mut dyn FnMut(PacketBuf)) {}
    pub fn send_ip(&mut self, _now: Instant, _view: &View, _buf: PacketBuf, _out: &mut dyn FnMut(PacketBuf)) -> Result<(), Drop> { Ok(()) }
    pub fn recv_frame(&mut self, _now: Instant, _view: &View, _buf: PacketBuf, _out: &mut dyn FnMut(PacketBuf)) -> Result<Option<PacketBuf>, Drop> { Ok(None) }
}
