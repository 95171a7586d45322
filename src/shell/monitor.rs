//! A monitor's frames on their way to whoever watches, as pcapng. The worker hands over and goes on: what the watcher is
//! too slow for is lost and counted, in the stream's own statistics.

use super::cable::Queue;
use crate::hub::filter::Filter;
use crate::packet::{PacketBuf, Pool};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, PcapError};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Frames that wait at most.
const FRAMES: usize = 8192;

/// Batches that wait at most.
const BATCHES: usize = 1024;

/// Bytes that are handed to the socket at a time, about.
const CHUNK: usize = 64 * 1024;

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    /// Frames that matched and were lost.
    lost: AtomicU64,
}

struct Batch {
    at: SystemTime,
    frames: Vec<PacketBuf>,
}

/// The worker's end.
pub(super) struct Feed {
    filter: Filter,
    to: SyncSender<Batch>,
    shared: Arc<Shared>,
}

/// The watcher's end.
pub(super) struct Watch {
    from: Receiver<Batch>,
    shared: Arc<Shared>,
}

/// A new pair.
pub(super) fn pair(filter: Filter) -> (Feed, Watch) {
    let (to, from) = sync_channel(BATCHES);
    let shared = Arc::<Shared>::default();
    (Feed { filter, to, shared: shared.clone() }, Watch { from, shared })
}

impl Queue for Feed {
    fn put(&mut self, frames: &mut Vec<PacketBuf>, pool: &mut Pool) {
        for other in frames.extract_if(.., |frame| !self.filter.matches(frame)) {
            pool.give(other);
        }
        let count = frames.len();
        if count == 0 {
            return;
        }
        let room = self.shared.waiting.load(Ordering::Relaxed) + count <= FRAMES;
        let batch = Batch { at: SystemTime::now(), frames: std::mem::take(frames) };
        self.shared.waiting.fetch_add(count, Ordering::Relaxed);
        if !room || self.to.try_send(batch).is_err() {
            self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
            self.shared.lost.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

impl Watch {
    /// Writes frames as pcapng until the feed has gone, `count` frames are written or `send` takes no more.
    pub(super) fn write(
        self,
        hub: &str,
        filter: &str,
        count: Option<u64>,
        mut send: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<(), PcapError> {
        let name = |text: &str| Cow::Owned(text.to_owned());
        let section = SectionHeaderBlock {
            options: vec![SectionHeaderOption::UserApplication(name(concat!(
                "sekisho ",
                env!("CARGO_PKG_VERSION")
            )))],
            ..SectionHeaderBlock::default()
        };
        let mut options =
            // Nanoseconds: what the writer below counts in.
            vec![InterfaceDescriptionOption::IfName(name(hub)), InterfaceDescriptionOption::IfTsResol(9)];
        if !filter.is_empty() {
            // The first byte says that it is text.
            options
                .push(InterfaceDescriptionOption::IfFilter(Cow::Owned([&[0], filter.as_bytes()].concat())));
        }
        let interface = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options };
        let mut out = PcapNgWriter::with_section_header(Vec::new(), section)?;
        out.write_block(&interface.into_block())?;
        let (mut written, mut told) = (0, 0);
        while send(std::mem::take(out.get_mut())) {
            let Ok(batch) = self.from.recv() else { break };
            let mut next = Some(batch);
            while let Some(Batch { at, frames }) = next {
                self.shared.waiting.fetch_sub(frames.len(), Ordering::Relaxed);
                let timestamp = at.duration_since(UNIX_EPOCH).unwrap_or_default();
                for frame in &frames {
                    if count.is_some_and(|count| written >= count) {
                        break;
                    }
                    written += 1;
                    let (original_len, data) = (frame.len() as u32, Cow::Borrowed(&frame[..]));
                    let packet = EnhancedPacketBlock {
                        interface_id: 0,
                        timestamp,
                        original_len,
                        data,
                        options: Vec::new(),
                    };
                    out.write_block(&packet.into_block())?;
                }
                next = if out.get_ref().len() < CHUNK { self.from.try_recv().ok() } else { None };
            }
            let lost = self.shared.lost.load(Ordering::Relaxed);
            if lost != told {
                told = lost;
                out.write_block(&statistics(written, lost).into_block())?;
            }
            if count.is_some_and(|count| written >= count) {
                break;
            }
        }
        out.write_block(&statistics(written, self.shared.lost.load(Ordering::Relaxed)).into_block())?;
        send(std::mem::take(out.get_mut()));
        Ok(())
    }
}

fn statistics(written: u64, lost: u64) -> InterfaceStatisticsBlock<'static> {
    let now: Duration = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    InterfaceStatisticsBlock {
        interface_id: 0,
        timestamp: u64::try_from(now.as_nanos()).unwrap_or_default(),
        options: vec![
            InterfaceStatisticsOption::IsbIfRecv(written + lost),
            InterfaceStatisticsOption::IsbIfDrop(lost),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcapng::{Block, PcapNgReader};

    fn frames(numbers: std::ops::Range<u8>) -> Vec<PacketBuf> {
        numbers
            .map(|n| {
                PacketBuf::from_slice(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, n, 8, 6][..], &[n; 3]].concat())
            })
            .collect()
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<u64>) {
        let mut reader = PcapNgReader::new(bytes).unwrap();
        let (mut packets, mut lost) = (Vec::new(), Vec::new());
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::EnhancedPacket(packet) => {
                    assert!(packet.timestamp > Duration::from_secs(1_700_000_000));
                    packets.push(packet.data.to_vec());
                }
                Block::InterfaceStatistics(block) => {
                    lost.extend(block.options.iter().filter_map(|option| match option {
                        InterfaceStatisticsOption::IsbIfDrop(lost) => Some(*lost),
                        _ => None,
                    }))
                }
                Block::InterfaceDescription(block) => {
                    assert!(block.options.contains(&InterfaceDescriptionOption::IfName("HUB1".into())));
                }
                _ => {}
            }
        }
        (packets, lost)
    }

    #[test]
    fn a_watcher_gets_what_matches_as_pcapng() {
        let (mut feed, watch) = pair(Filter::parse("not mac 02:00:00:00:00:02").unwrap());
        let mut pool = Pool::default();
        feed.put(&mut frames(0..3), &mut pool);
        feed.put(&mut frames(2..3), &mut pool);
        feed.put(&mut frames(3..5), &mut pool);
        drop(feed);
        let mut bytes = Vec::new();
        watch
            .write("HUB1", "x", None, |chunk| {
                bytes.extend(chunk);
                true
            })
            .unwrap();
        let (packets, lost) = read(&bytes);
        assert_eq!(packets.iter().map(|packet| packet[11]).collect::<Vec<_>>(), [0, 1, 3, 4]);
        assert_eq!(lost, [0]);
    }

    #[test]
    fn a_slow_watcher_loses_frames_and_is_told_how_many() {
        let (mut feed, watch) = pair(Filter::default());
        let mut pool = Pool::default();
        for _ in 0..FRAMES / 100 + 2 {
            feed.put(&mut frames(0..100), &mut pool);
        }
        drop(feed);
        let mut bytes = Vec::new();
        watch
            .write("HUB1", "", None, |chunk| {
                bytes.extend(chunk);
                true
            })
            .unwrap();
        let (packets, lost) = read(&bytes);
        assert_eq!(packets.len(), FRAMES / 100 * 100);
        assert_eq!(lost.last(), Some(&200));
    }

    #[test]
    fn so_many_and_no_more() {
        let (mut feed, watch) = pair(Filter::default());
        feed.put(&mut frames(0..9), &mut Pool::default());
        let mut bytes = Vec::new();
        watch
            .write("HUB1", "", Some(4), |chunk| {
                bytes.extend(chunk);
                true
            })
            .unwrap();
        assert_eq!(read(&bytes).0.len(), 4);
    }
}
