//! Repeated requests: IKEv1 clients send a request again until it is answered. The answer comes from here, byte for
//! byte; an exchange is never run twice.

use crate::crypto::prf::{self, Digest};
use crate::crypto::suite::HashAlg;
use crate::wire::isakmp::MessageId;
use std::collections::VecDeque;

/// How often one request is answered again. Clients repeat ten times at most; more is somebody's amplifier.
const MAX_REPEATS: u8 = 20;
/// How many exchanges of one ISAKMP SA are remembered with their answers.
const MAX_ANSWERS: usize = 16;
/// How many message IDs are remembered without: a replay of them is dropped.
const MAX_SEEN: usize = 512;

fn digest(request: &[u8]) -> Digest {
    prf::hash(HashAlg::Sha256, &[request])
}

/// One request and what was answered.
#[derive(Debug)]
pub(super) struct Answer {
    request: Digest,
    reply: Vec<u8>,
    repeats: u8,
}

/// What is known about a request.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Lookup<'a> {
    /// Never seen.
    New,
    /// Seen: send this again.
    Again(&'a [u8]),
    /// Seen: there is nothing to send.
    Silent,
}

impl Answer {
    /// Remembers `reply` to `request`; an empty reply means that silence is the answer.
    pub(super) fn new(request: &[u8], reply: Vec<u8>) -> Self {
        Self { request: digest(request), reply, repeats: 0 }
    }

    /// Sets the reply once it exists, where it takes time to make it.
    pub(super) fn set_reply(&mut self, reply: Vec<u8>) {
        self.reply = reply;
    }

    /// The reply, for a machine that repeats it on its own.
    pub(super) fn reply(&self) -> &[u8] {
        &self.reply
    }

    fn is_for(&self, request: &[u8]) -> bool {
        self.request.ct_eq(&digest(request))
    }

    fn repeat(&mut self) -> Lookup<'_> {
        if self.reply.is_empty() || self.repeats == MAX_REPEATS {
            return Lookup::Silent;
        }
        self.repeats += 1;
        Lookup::Again(&self.reply)
    }

    pub(super) fn look_up(&mut self, request: &[u8]) -> Lookup<'_> {
        if self.is_for(request) { self.repeat() } else { Lookup::New }
    }
}

/// The exchanges under one ISAKMP SA. Message IDs mean nothing without its cookies, so each SA has its own.
#[derive(Debug, Default)]
pub(super) struct Answers {
    recent: VecDeque<(MessageId, Answer)>,
    seen: VecDeque<MessageId>,
}

impl Answers {
    /// Whether this request, byte for byte, was answered.
    pub(super) fn look_up(&mut self, message_id: MessageId, request: &[u8]) -> Lookup<'_> {
        // Several messages of one Quick Mode share their ID, so the bytes decide.
        let known = self.recent.iter_mut().find(|(id, answer)| *id == message_id && answer.is_for(request));
        known.map_or(Lookup::New, |(_, answer)| answer.repeat())
    }

    /// Remembers an authenticated request and its answer.
    pub(super) fn insert(&mut self, message_id: MessageId, request: &[u8], reply: Vec<u8>) {
        if self.recent.len() == MAX_ANSWERS {
            self.recent.pop_front();
        }
        self.recent.reserve_exact(1);
        self.recent.push_back((message_id, Answer::new(request, reply)));
        if !self.is_used(message_id) {
            if self.seen.len() == MAX_SEEN {
                self.seen.pop_front();
            }
            self.seen.reserve_exact(1);
            self.seen.push_back(message_id);
        }
    }

    /// Sets the reply to the last request of an exchange, where it took time to make it.
    pub(super) fn set_reply(&mut self, message_id: MessageId, reply: Vec<u8>) {
        if let Some((_, answer)) = self.recent.iter_mut().rev().find(|(id, _)| *id == message_id) {
            answer.set_reply(reply);
        }
    }

    /// An exchange is over with its last request, which is answered by silence: whoever sent that has all answers, and an
    /// earlier request that comes once more was only late.
    pub(super) fn settle(&mut self, message_id: MessageId, request: &[u8]) {
        self.recent.retain(|(id, _)| *id != message_id);
        self.insert(message_id, request, Vec::new());
    }

    /// Whether an exchange of this number was there before: it may not begin again.
    pub(super) fn is_used(&self, message_id: MessageId) -> bool {
        self.seen.contains(&message_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_gets_the_same_bytes_and_not_for_ever() {
        let mut answer = Answer::new(b"MM1", b"MM2".to_vec());
        assert_eq!(answer.look_up(b"MM1x"), Lookup::New);
        for _ in 0..MAX_REPEATS {
            assert_eq!(answer.look_up(b"MM1"), Lookup::Again(b"MM2"));
        }
        assert_eq!(answer.look_up(b"MM1"), Lookup::Silent);
        assert_eq!(Answer::new(b"QM3", vec![]).look_up(b"QM3"), Lookup::Silent);
    }

    #[test]
    fn exchanges_are_told_apart_and_bounded() {
        let mut answers = Answers::default();
        let id = MessageId;
        for n in 1..=u32::try_from(MAX_ANSWERS).unwrap() + 1 {
            answers.insert(id(n), &n.to_be_bytes(), n.to_le_bytes().to_vec());
        }
        assert_eq!(answers.look_up(id(1), &1u32.to_be_bytes()), Lookup::New, "forgotten");
        assert!(answers.is_used(id(1)), "but not its number");
        assert_eq!(answers.look_up(id(2), &2u32.to_be_bytes()), Lookup::Again(&2u32.to_le_bytes()));
        assert_eq!(answers.look_up(id(2), &3u32.to_be_bytes()), Lookup::New, "other bytes");
        answers.settle(id(9), b"QM3");
        assert_eq!(answers.look_up(id(9), b"QM3"), Lookup::Silent);
        assert_eq!(
            answers.look_up(id(9), &9u32.to_be_bytes()),
            Lookup::New,
            "its answer is not needed again"
        );
        assert!(answers.is_used(id(9)), "and it does not begin again");
        for n in 0..2000 {
            answers.insert(id(n), b"", vec![]);
        }
        assert_eq!(answers.seen.len(), MAX_SEEN);
    }
}
