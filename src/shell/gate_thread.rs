//! The control side: the gatehouse, the signals, and what is written to disk.

use super::control_socket::{self, Call};
use super::inbox::{Inbox, Input};
use super::state_file;
use super::worker_thread::clock;
use crate::control::{Facts, Kind, Refusal};
use crate::gatehouse::{Gatehouse, Output};
use crate::hub::Forward;
use crate::packet::WorkerId;
use crate::peer::{Answer, Ask};
use crate::worker::{FarFrame, Target};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

/// How often leases and stories go to disk when something has changed.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// How long workers have for their goodbyes.
const FAREWELL: Duration = Duration::from_secs(3);

pub(super) struct GateThread {
    pub(super) gatehouse: Gatehouse,
    pub(super) inboxes: Arc<[Inbox]>,
    pub(super) state_dir: PathBuf,
    pub(super) asks: Receiver<Vec<Ask>>,
    /// What the control socket's connections want; none come without a socket.
    pub(super) calls: Receiver<Call>,
    pub(super) facts: Facts,
}

impl GateThread {
    /// Runs until SIGTERM or SIGINT, then until the workers have said goodbye.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut save_at = Instant::now() + SAVE_EVERY;
        let mut saved = state_file::Generation::of(&self.gatehouse);
        loop {
            let due = self.gatehouse.poll_timeout().map_or(save_at, |at| save_at.min(Instant::from_std(at)));
            tokio::select! {
                asks = self.asks.recv() => match asks {
                    Some(asks) => self.handle(asks),
                    None => anyhow::bail!("all workers have ended"),
                },
                Some(call) = self.calls.recv() => self.serve(call),
                () = sleep_until(due) => {
                    let mut out = Output::default();
                    self.gatehouse.handle_timeout(clock(), &mut out);
                    self.pass_on(out);
                    if save_at <= Instant::now() {
                        save_at = Instant::now() + SAVE_EVERY;
                        saved = self.save(saved);
                    }
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        tracing::info!(step = "stopping", "stopping: saying goodbye to every client");
        for inbox in &*self.inboxes {
            inbox.put(Input::Shutdown);
        }
        // Workers close their end when they are done; what they still tell is told.
        let deadline = Instant::now() + FAREWELL;
        while let Ok(Some(asks)) = tokio::time::timeout_at(deadline, self.asks.recv()).await {
            self.handle(asks);
        }
        self.save(saved);
        Ok(())
    }

    fn handle(&mut self, asks: Vec<Ask>) {
        let mut out = Output::default();
        let now = clock();
        for ask in asks {
            self.gatehouse.handle_ask(now, ask, &mut out);
        }
        self.pass_on(out);
    }

    fn serve(&mut self, call: Call) {
        match call {
            Call::Step(job, answer) => {
                let out = control_socket::step(&mut self.gatehouse, &self.facts, job, answer);
                self.pass_on(out);
            }
            Call::Reload { answer, .. } => {
                let refusal = Refusal::new(Kind::Failed, "this version cannot reload: restart the gateway, devices come back by themselves");
                // Whoever asked may have gone.
                let _ = answer.send(Err(refusal));
            }
        }
    }

    /// Hands answers and service frames to the workers that they are for, one batch each.
    fn pass_on(&self, out: Output) {
        let mut batches: Vec<(Vec<Answer>, Vec<FarFrame>)> = self.inboxes.iter().map(|_| Default::default()).collect();
        for answer in out.answers {
            if let Some((answers, _)) = batches.get_mut(usize::from(answer.link().worker.0)) {
                answers.push(answer);
            }
        }
        for service in out.frames {
            match service.to {
                Forward::To(port) => {
                    if let Some((_, frames)) = batches.get_mut(usize::from(port.worker().0)) {
                        frames.push(FarFrame { hub: service.hub, to: Target::Port(port), buf: service.frame });
                    }
                }
                Forward::Flood(scope) => {
                    for ((_, frames), n) in batches.iter_mut().zip(0..) {
                        let to = Target::Flood(WorkerId(n), scope, crate::hub::PortId::SERVICE);
                        frames.push(FarFrame { hub: service.hub, to, buf: service.frame.clone() });
                    }
                }
                Forward::Discard(_) => {}
            }
        }
        for (inbox, (answers, frames)) in self.inboxes.iter().zip(batches) {
            if !answers.is_empty() {
                inbox.put(Input::Answers(answers));
            }
            if !frames.is_empty() {
                inbox.put(Input::Frames(frames));
            }
        }
    }

    fn save(&self, saved: state_file::Generation) -> state_file::Generation {
        let now = state_file::Generation::of(&self.gatehouse);
        if now == saved {
            return saved;
        }
        match state_file::save(&self.state_dir, &self.gatehouse, clock()) {
            Ok(()) => now,
            Err(error) => {
                tracing::warn!(directory = %self.state_dir.display(), %error, "state not saved");
                saved
            }
        }
    }
}
