//! Reliable delivery of control messages (RFC 2661 section 5.8): numbered, acknowledged, repeated; never more of them
//! unacknowledged than the peer said it can take.
//!
//! Messages get their Ns when they are sent for the first time, not when they are queued, so that what was never sent
//! can be withdrawn without a gap.

use crate::wire::l2tp::ControlHeader;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// First wait for an acknowledgement; doubled at every repetition (section 5.8).
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait, which section 5.8 demands to be no less than eight seconds.
const INTERVAL_CAP: Duration = Duration::from_secs(8);

/// Repetitions before a message counts as unanswered: 1 + 2 + 4 + 8 + 8 + 8 = 31 seconds in all.
const MAX_REPEATS: u8 = 5;

/// A whole cycle of repetitions: how long a closed tunnel answers its peer's (section 5.7).
pub(super) const FULL_CYCLE: Duration = Duration::from_secs(31);

/// We keep no more than this many messages unacknowledged, however large the peer's window is.
const WINDOW_CAP: u16 = 8;

/// Section 4.4.3: a peer that does not say how many messages it can take can take four.
pub(super) const DEFAULT_WINDOW: u16 = 4;

/// Messages, sent or waiting, that one tunnel may hold. A peer that makes us queue more is not listening.
const MAX_QUEUED: usize = 16;

/// Messages held because one before them is missing; also the receive window that we announce.
pub(super) const MAX_EARLY: u16 = 8;

/// Where a received message stands in the sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// The next one.
    Expected,
    /// Had before: acknowledge again, and no more.
    Duplicate,
    /// One before it is missing; it can be held.
    Early,
    /// Too far ahead to be held.
    Outside,
}

/// What a fired retransmission timer found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expiry {
    /// Nothing was due.
    Quiet,
    /// The unacknowledged messages are to be sent again.
    Repeat,
    /// They were repeated as often as is useful.
    Exhausted,
}

/// The queue was full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// Both directions' sequence of one control connection.
#[derive(Debug)]
pub(super) struct Reliable {
    /// Messages in the order of their Ns: the first [`Self::in_flight`] were sent, the others wait for the window.
    queue: VecDeque<Box<[u8]>>,
    in_flight: u16,
    /// Ns of the first message in the queue, or of the next one if it is empty.
    base_ns: u16,
    /// Ns that we expect from the peer.
    nr: u16,
    window: u16,
    repeats: u8,
    ack_owed: bool,
    retransmit_at: Option<Instant>,
    early: Vec<(u16, Box<[u8]>)>,
}

impl Reliable {
    /// A new sequence towards a peer that can take `window` messages, and whose next Ns is `nr`.
    pub(super) fn new(window: u16, nr: u16) -> Self {
        Self {
            queue: VecDeque::new(),
            in_flight: 0,
            base_ns: 0,
            nr,
            // A window of zero would be a peer that wants nothing said.
            window: window.clamp(1, WINDOW_CAP),
            repeats: 0,
            ack_owed: false,
            retransmit_at: None,
            early: Vec::new(),
        }
    }

    /// Queues a complete message; Ns and Nr are filled in when it is sent.
    pub(super) fn push(&mut self, message: Vec<u8>) -> Result<(), Full> {
        if self.queue.len() >= MAX_QUEUED {
            return Err(Full);
        }
        self.queue.push_back(message.into_boxed_slice());
        Ok(())
    }

    /// Withdraws what was never sent, and gives what was sent a fresh set of repetitions.
    pub(super) fn withdraw_unsent(&mut self, now: Instant) {
        self.queue.truncate(usize::from(self.in_flight));
        self.repeats = 0;
        self.retransmit_at = (self.in_flight > 0).then(|| now + FIRST_INTERVAL);
    }

    /// Sends nothing any more; only acknowledges.
    pub(super) fn fall_silent(&mut self) {
        (self.base_ns, _) = self.numbers();
        self.in_flight = 0;
        self.queue = VecDeque::new();
        self.early = Vec::new();
        self.retransmit_at = None;
    }

    /// Sends what the window allows. Everything sent carries the newest acknowledgement.
    pub(super) fn flush(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        while self.in_flight < self.window && usize::from(self.in_flight) < self.queue.len() {
            self.send_at(self.in_flight, &mut send);
            if self.in_flight == 0 {
                self.repeats = 0;
                self.retransmit_at = Some(now + FIRST_INTERVAL);
            }
            self.in_flight += 1;
        }
    }

    /// Sends again what is unacknowledged.
    pub(super) fn repeat(&mut self, mut send: impl FnMut(&[u8])) {
        for index in 0..self.in_flight {
            self.send_at(index, &mut send);
        }
    }

    fn send_at(&mut self, index: u16, send: &mut impl FnMut(&[u8])) {
        let (ns, nr) = (self.base_ns.wrapping_add(index), self.nr);
        if let Some(message) = self.queue.get_mut(usize::from(index)) {
            ControlHeader::renumber(message, ns, nr);
            send(message);
            self.ack_owed = false;
        }
    }

    /// Takes an acknowledgement: all messages before `nr` have arrived. Numbers that make no sense, and old ones, are
    /// ignored.
    pub(super) fn acknowledge(&mut self, now: Instant, nr: u16) {
        let count = nr.wrapping_sub(self.base_ns);
        if count == 0 || count > self.in_flight {
            return;
        }
        self.queue.drain(..usize::from(count));
        self.in_flight -= count;
        self.base_ns = nr;
        self.repeats = 0;
        self.retransmit_at = (self.in_flight > 0).then(|| now + FIRST_INTERVAL);
        if self.queue.is_empty() {
            // An idle tunnel is most of its life without a message: give the memory back.
            self.queue = VecDeque::new();
        }
    }

    /// Where a message with this Ns stands. Half of the number space lies behind us (section 5.8).
    pub(super) const fn order(&self, ns: u16) -> Order {
        match ns.wrapping_sub(self.nr) {
            0 => Order::Expected,
            ahead if ahead < MAX_EARLY => Order::Early,
            ahead if ahead < 0x8000 => Order::Outside,
            _ => Order::Duplicate,
        }
    }

    /// Counts the expected message as received.
    pub(super) const fn accept(&mut self) {
        self.nr = self.nr.wrapping_add(1);
        self.ack_owed = true;
    }

    /// The peer repeats itself: our acknowledgement was lost.
    pub(super) const fn owe_ack(&mut self) {
        self.ack_owed = true;
    }

    /// Holds a message until those before it arrive. Bounded by [`MAX_EARLY`], since each Ns is held once.
    pub(super) fn hold(&mut self, ns: u16, message: &[u8]) {
        if self.order(ns) == Order::Early && !self.early.iter().any(|(held, _)| *held == ns) {
            self.early.push((ns, message.into()));
        }
    }

    /// The held message that is next now.
    pub(super) fn take_held(&mut self) -> Option<Box<[u8]>> {
        let at = self.early.iter().position(|(ns, _)| *ns == self.nr)?;
        let (_, message) = self.early.swap_remove(at);
        if self.early.is_empty() {
            self.early = Vec::new();
        }
        Some(message)
    }

    /// Ns and Nr of the ZLB that is owed, if no message carried the acknowledgement meanwhile.
    pub(super) fn take_ack(&mut self) -> Option<(u16, u16)> {
        std::mem::take(&mut self.ack_owed).then(|| self.numbers())
    }

    /// Ns and Nr of a ZLB: it takes no number of its own.
    pub(super) const fn numbers(&self) -> (u16, u16) {
        (self.base_ns.wrapping_add(self.in_flight), self.nr)
    }

    /// Whether everything was sent and acknowledged.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// How often the oldest unacknowledged message was repeated.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.repeats >= MAX_REPEATS
    }

    /// When something must be repeated.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.retransmit_at
    }

    /// Looks at the retransmission timer. After [`Expiry::Exhausted`] it is stopped: give up, or
    /// [`Self::try_again_at`].
    pub(super) fn expire(&mut self, now: Instant) -> Expiry {
        if self.retransmit_at.is_none_or(|at| at > now) {
            return Expiry::Quiet;
        }
        if self.is_exhausted() {
            self.retransmit_at = None;
            return Expiry::Exhausted;
        }
        self.repeats += 1;
        let interval = FIRST_INTERVAL.saturating_mul(1 << self.repeats).min(INTERVAL_CAP);
        self.retransmit_at = Some(now + interval);
        Expiry::Repeat
    }

    /// Arms the timer for one more, patient attempt.
    pub(super) const fn try_again_at(&mut self, at: Instant) {
        self.retransmit_at = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Vec<u8> {
        ControlHeader::default().emit(&[])
    }

    fn sent(messages: &[Vec<u8>]) -> Vec<(u16, u16)> {
        messages
            .iter()
            .map(|bytes| ControlHeader::parse(bytes).unwrap().0)
            .map(|header| (header.ns, header.nr))
            .collect()
    }

    fn flush(reliable: &mut Reliable, now: Instant) -> Vec<(u16, u16)> {
        let mut out = Vec::new();
        reliable.flush(now, |bytes| out.push(bytes.to_vec()));
        sent(&out)
    }

    fn repeat(reliable: &mut Reliable) -> Vec<(u16, u16)> {
        let mut out = Vec::new();
        reliable.repeat(|bytes| out.push(bytes.to_vec()));
        sent(&out)
    }

    #[test]
    fn a_window_of_one_lets_out_one_at_a_time() {
        let now = crate::l2tp::tests::start();
        let mut reliable = Reliable::new(1, 1);
        for _ in 0..3 {
            reliable.push(message()).unwrap();
        }
        assert_eq!(flush(&mut reliable, now), [(0, 1)]);
        assert_eq!(flush(&mut reliable, now), []);
        reliable.acknowledge(now, 0); // an old number
        reliable.acknowledge(now, 2); // a number that was never sent
        assert_eq!(flush(&mut reliable, now), []);
        reliable.acknowledge(now, 1);
        assert_eq!(flush(&mut reliable, now), [(1, 1)]);
        reliable.acknowledge(now, 2);
        assert_eq!(flush(&mut reliable, now), [(2, 1)]);
        reliable.acknowledge(now, 3);
        assert!(reliable.is_drained());
        assert_eq!(reliable.poll_timeout(), None);
        assert_eq!(reliable.numbers(), (3, 1));
    }

    #[test]
    fn one_acknowledgement_covers_several() {
        let now = crate::l2tp::tests::start();
        let mut reliable = Reliable::new(4, 0);
        for _ in 0..6 {
            reliable.push(message()).unwrap();
        }
        assert_eq!(flush(&mut reliable, now).len(), 4);
        reliable.acknowledge(now, 3);
        assert_eq!(flush(&mut reliable, now), [(4, 0), (5, 0)]);
        assert_eq!(repeat(&mut reliable), [(3, 0), (4, 0), (5, 0)]);
    }

    #[test]
    fn numbers_wrap() {
        let now = crate::l2tp::tests::start();
        let mut reliable = Reliable::new(4, 0xffff);
        reliable.base_ns = 0xffff;
        for _ in 0..2 {
            reliable.push(message()).unwrap();
        }
        assert_eq!(flush(&mut reliable, now), [(0xffff, 0xffff), (0, 0xffff)]);
        reliable.acknowledge(now, 1);
        assert!(reliable.is_drained());
        assert_eq!(reliable.order(0xffff), Order::Expected);
        assert_eq!(reliable.order(0), Order::Early);
        assert_eq!(reliable.order(0xfffe), Order::Duplicate);
        reliable.accept();
        assert_eq!(reliable.order(0), Order::Expected);
        assert_eq!(reliable.order(MAX_EARLY), Order::Outside);
    }

    #[test]
    fn repetitions_double_up_to_eight_seconds_and_end() {
        let start = crate::l2tp::tests::start();
        let mut reliable = Reliable::new(4, 0);
        reliable.push(message()).unwrap();
        assert_eq!(flush(&mut reliable, start).len(), 1);
        let mut at = Vec::new();
        loop {
            let due = reliable.poll_timeout().unwrap();
            assert_eq!(reliable.expire(due - Duration::from_millis(1)), Expiry::Quiet);
            at.push((due - start).as_secs());
            if reliable.expire(due) == Expiry::Exhausted {
                break;
            }
        }
        assert_eq!(at, [1, 3, 7, 15, 23, 31]);
        assert_eq!(FULL_CYCLE.as_secs(), 31);
        assert_eq!(reliable.poll_timeout(), None);
        assert!(reliable.is_exhausted());
    }

    #[test]
    fn messages_ahead_are_held_once_and_come_out_in_order() {
        let mut reliable = Reliable::new(4, 5);
        reliable.hold(7, b"seven");
        reliable.hold(7, b"SEVEN");
        reliable.hold(6, b"six");
        reliable.hold(99, b"far");
        assert_eq!(reliable.early.len(), 2);
        assert!(reliable.take_held().is_none());
        reliable.accept();
        assert_eq!(&*reliable.take_held().unwrap(), b"six");
        reliable.accept();
        assert_eq!(&*reliable.take_held().unwrap(), b"seven");
        reliable.accept();
        assert!(reliable.take_held().is_none());
        assert_eq!(reliable.take_ack(), Some((0, 8)));
        assert_eq!(reliable.take_ack(), None);
    }

    #[test]
    fn a_message_carries_the_acknowledgement() {
        let now = crate::l2tp::tests::start();
        let mut reliable = Reliable::new(1, 0);
        reliable.accept();
        reliable.push(message()).unwrap();
        assert_eq!(flush(&mut reliable, now), [(0, 1)]);
        assert_eq!(reliable.take_ack(), None);
        // The window is shut: the next acknowledgement must travel alone.
        reliable.accept();
        reliable.push(message()).unwrap();
        assert_eq!(flush(&mut reliable, now), []);
        assert_eq!(reliable.take_ack(), Some((1, 2)));
    }

    #[test]
    fn what_was_never_sent_can_be_withdrawn() {
        let now = crate::l2tp::tests::start();
        let mut reliable = Reliable::new(1, 0);
        for _ in 0..MAX_QUEUED {
            reliable.push(message()).unwrap();
        }
        assert_eq!(reliable.push(message()), Err(Full));
        assert_eq!(flush(&mut reliable, now), [(0, 0)]);
        reliable.withdraw_unsent(now);
        reliable.push(message()).unwrap();
        reliable.acknowledge(now, 1);
        assert_eq!(flush(&mut reliable, now), [(1, 0)]);
    }
}
