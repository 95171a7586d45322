//! What other threads hand to a worker: batches, never single packets, for waking a sleeping thread costs more than a
//! packet does.

use super::cable::Device;
use super::routers::RouterPlug;
use crate::crypto::dh::{DhError, DhResult};
use crate::hub::{Ingress, Policy, PortId, View};
use crate::packet::{Datagram, PacketBuf};
use crate::peer::{Answer, DhTag, Settings};
use crate::penalty::Change;
use crate::worker::{FarFrame, Snapshot};
use anyhow::Context as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a worker may take to open or close something during a reload.
const PATIENCE: Duration = Duration::from_secs(2);

/// Batches that wait at most.
const QUEUE: usize = 1024;

/// One thing for a worker.
pub(super) enum Input {
    /// Datagrams that another worker's socket received.
    Datagrams(Vec<Datagram>),
    /// Frames for its ports.
    Frames(Vec<FarFrame>),
    /// Frames that another thread behind one of its ports sends.
    FromPort(PortId, Vec<PacketBuf>),
    /// The gatehouse's answers.
    Answers(Vec<Answer>),
    /// A result of the Diffie-Hellman pool.
    Dh(DhTag, Result<DhResult, DhError>),
    /// Set a port number aside for an uplink, and tell it.
    Reserve(oneshot::Sender<PortId>),
    /// Serve an uplink whose number was set aside.
    Plug(Box<Plug>),
    /// Other rules for an uplink.
    Rules(PortId, Policy),
    /// Close an uplink, and say when its interface is closed.
    Unplug(PortId, oneshot::Sender<()>),
    /// Serve a router whose ports' numbers were set aside.
    PlugRouter(Box<RouterPlug>),
    /// Close a router.
    UnplugRouter(String),
    /// Tell what there is to count.
    Count(oneshot::Sender<Snapshot>),
    /// New settings after a reload.
    Settings(Arc<Settings>),
    /// How sources are treated from now on.
    Standings(Vec<Change>),
    /// Say goodbye to everybody and stop.
    Shutdown,
}

/// An uplink for a worker.
pub(super) struct Plug {
    pub(super) ingress: Ingress,
    pub(super) view: Arc<View>,
    pub(super) device: Device,
}

/// The way into a worker.
pub(super) struct Inbox {
    queue: SyncSender<Input>,
    waker: mio::Waker,
}

impl Inbox {
    /// An inbox and its far end. `waker` wakes the worker's poll.
    pub(super) fn new(waker: mio::Waker) -> (Self, Receiver<Input>) {
        let (queue, receiver) = sync_channel(QUEUE);
        (Self { queue, waker }, receiver)
    }

    /// Hands something in and wakes the worker. Data and questions are dropped when the worker is that far behind,
    /// anything else waits: control must not be lost. Returns whether it was taken.
    pub(super) fn put(&self, input: Input) -> bool {
        let taken = match input {
            data @ (Input::Frames(_) | Input::FromPort(..) | Input::Datagrams(_) | Input::Count(_)) => {
                self.queue.try_send(data).is_ok()
            }
            control => self.queue.send(control).is_ok(),
        };
        // A failed wake means that the worker's poll is gone, and the worker with it.
        let _ = self.waker.wake();
        taken
    }

    /// Sets a port number aside at the worker.
    ///
    /// # Errors
    /// [`Silent`] when the worker does not answer in time.
    pub(super) async fn reserve(&self) -> Result<PortId, Silent> {
        let (answer, answered) = oneshot::channel();
        self.put(Input::Reserve(answer));
        timeout(PATIENCE, answered).await.ok().and_then(Result::ok).ok_or(Silent)
    }

    /// Gives a port number back, served or not; nobody waits for the end of what was behind it.
    pub(super) fn give_back(&self, port: PortId) {
        self.put(Input::Unplug(port, oneshot::channel().0));
    }

    /// Closes an uplink and waits until its interface is gone, or the worker is given up.
    pub(super) async fn unplug(&self, port: PortId) {
        let (done, is_done) = oneshot::channel();
        self.put(Input::Unplug(port, done));
        let _ = timeout(PATIENCE, is_done).await;
    }
}

/// The way into the worker that a port belongs to.
pub(super) fn of_port(inboxes: &[Inbox], port: PortId) -> Option<&Inbox> {
    inboxes.get(usize::from(port.worker().0))
}

/// The way into the worker that has the fewest of these ports.
///
/// # Errors
/// When there is no worker.
pub(super) fn least_used(
    inboxes: &[Inbox],
    ports: impl Iterator<Item = PortId> + Clone,
) -> anyhow::Result<&Inbox> {
    let used = |worker: usize| ports.clone().filter(|port| usize::from(port.worker().0) == worker).count();
    let least = inboxes.iter().enumerate().min_by_key(|(worker, _)| used(*worker));
    Ok(least.context("there is no worker")?.1)
}

/// A worker does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the worker does not answer")]
pub(super) struct Silent;
