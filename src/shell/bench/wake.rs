//! What a packet costs on this machine before anything is done with it: a thread that sleeps until a datagram comes, and
//! sends it back. No server that is woken for each packet can cost less.

use nix::time::{ClockId, clock_gettime};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// Length of a datagram: about what a packet of 1400 bytes is in ESP.
const LENGTH: usize = 1456;

/// What it costs.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct WakeCost {
    /// Datagrams that were sent back.
    pub packets: u64,
    /// CPU time of the thread for each of them, in microseconds.
    pub us_per_packet: f64,
}

/// Sends `rate` datagrams a second over loopback to a thread that sends each back.
///
/// # Errors
/// What the kernel says.
pub fn wake(rate: f64, time: Duration) -> io::Result<WakeCost> {
    let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let here = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    here.connect(there.local_addr()?)?;
    here.set_nonblocking(true)?;
    let echo = thread::Builder::new().name("echo".to_owned()).spawn(move || echo(&there))?;
    let (began, gap, mut space) = (Instant::now(), Duration::from_secs(1).div_f64(rate), [0; LENGTH]);
    let mut due = began;
    while due < began + time {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // What does not fit, or comes late, is not counted.
        let _ = here.send(&space);
        while here.recv(&mut space).is_ok() {}
        due += gap;
    }
    thread::sleep(Duration::from_millis(100));
    here.set_nonblocking(false)?;
    here.send(&[])?;
    echo.join().map_err(|_| io::Error::other("the echo has panicked"))?
}

/// Sends datagrams back until an empty one comes.
fn echo(socket: &UdpSocket) -> io::Result<WakeCost> {
    let (began, mut packets, mut space) = (thread_cpu()?, 0_u64, [0; LENGTH]);
    loop {
        let (length, from) = socket.recv_from(&mut space)?;
        if length == 0 {
            let spent = thread_cpu()?.saturating_sub(began);
            let us_per_packet = spent.as_secs_f64() * 1e6 / (packets.max(1) as f64);
            return Ok(WakeCost { packets, us_per_packet });
        }
        packets += u64::from(socket.send_to(&space[..length], from).is_ok());
    }
}

/// The CPU time that this thread has taken.
pub(super) fn thread_cpu() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_comes_back_and_costs_something() {
        let cost = wake(2000.0, Duration::from_millis(100)).unwrap();
        assert!(cost.packets > 0 && cost.us_per_packet > 0.0, "{cost:?}");
    }
}
