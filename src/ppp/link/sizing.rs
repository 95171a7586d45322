//! How long a packet the way carries, asked once when a link is up: by echoes of that length, which come back as long as
//! they went (RFC 1661 section 5.8). Datagrams of ours may be fragmented on their way, so a narrow way is no obstacle; one
//! that loses fragments is, and this is the only sign of it that reaches us.
//!
//! The longest packet alone goes first. If it does not come back, shorter ones and a short one show what does. Nothing is
//! concluded where not even the short one comes back: that is silence, and others watch it.

use super::Link;
use crate::ppp::cause::Phase;
use crate::ppp::{Event, Output, Timer};
use crate::wire::ppp::{Code, Protocol};
use std::time::{Duration, Instant};

/// How long an answer may take.
const WAIT: Duration = Duration::from_millis(1500);
/// How often each question is put: lines lose packets.
const TRIES: u8 = 3;
/// How much shorter than the longest: for ways of 1464, 1420, 1400, 1360, 1280 bytes where 1492 were hoped for, and less.
const STEPS: [u16; 6] = [28, 72, 92, 132, 212, 412];
/// An echo that passes wherever anything does.
const SHORT: u16 = 64;

/// Questions under way.
#[derive(Debug)]
pub(super) struct Sizing {
    questions: Vec<Question>,
    tries: u8,
    /// The longest packet has not come back: shorter ones are tried.
    narrow: bool,
}

#[derive(Debug)]
struct Question {
    id: u8,
    size: u16,
    answered: bool,
}

impl Link {
    /// Begins to ask whether packets of this length pass. [`Event::Narrow`] follows if they do not.
    pub fn start_sizing(&mut self, now: Instant, size: u16, out: &mut Output) {
        if self.phase != Phase::Open || size <= SHORT {
            return;
        }
        let questions = vec![Question { id: self.lcp.next_id(), size, answered: false }];
        self.sizing = Some(Box::new(Sizing { questions, tries: 0, narrow: false }));
        self.ask_sizes(now, out);
    }

    fn ask_sizes(&mut self, now: Instant, out: &mut Output) {
        let Some(sizing) = &mut self.sizing else { return };
        sizing.tries += 1;
        for question in sizing.questions.iter().filter(|question| !question.answered) {
            // Code, identifier, length and magic number are 8 bytes.
            let mut data = vec![0; usize::from(question.size.saturating_sub(4))];
            if let Some(magic) = data.first_chunk_mut() {
                *magic = self.agreed.our_magic.to_be_bytes();
            }
            out.send_control(Protocol::LCP, Code::ECHO_REQUEST, question.id, &data);
        }
        self.timers.set(Timer::Sizing, now + WAIT);
    }

    /// An Echo-Reply: perhaps one of these.
    pub(super) fn recv_echo_reply(&mut self, id: u8) {
        let Some(sizing) = &mut self.sizing else { return };
        for question in sizing.questions.iter_mut().filter(|question| question.id == id) {
            question.answered = true;
        }
        if !sizing.narrow && sizing.questions.iter().all(|question| question.answered) {
            self.end_sizing();
        }
    }

    pub(super) fn end_sizing(&mut self) {
        self.sizing = None;
        self.timers.stop(Timer::Sizing);
    }

    pub(super) fn handle_sizing_timeout(&mut self, now: Instant, out: &mut Output) {
        let Some(sizing) = &mut self.sizing else { return };
        if self.phase != Phase::Open {
            return self.end_sizing();
        }
        let best =
            sizing.questions.iter().filter(|question| question.answered).map(|question| question.size).max();
        if sizing.tries < TRIES && best.is_none_or(|best| best == SHORT) {
            return self.ask_sizes(now, out);
        }
        if sizing.narrow {
            let Some(best) = best else { return self.end_sizing() };
            out.events.push(Event::Narrow { passes: (best > SHORT).then_some(best) });
            return self.end_sizing();
        }
        let full = sizing.questions.iter().map(|question| question.size).max().unwrap_or_default();
        let sizes = STEPS.iter().filter_map(|step| full.checked_sub(*step)).filter(|size| *size > SHORT);
        sizing.questions = sizes
            .chain([SHORT])
            .map(|size| Question { id: self.lcp.next_id(), size, answered: false })
            .collect();
        sizing.narrow = true;
        sizing.tries = 0;
        self.ask_sizes(now, out);
    }
}
