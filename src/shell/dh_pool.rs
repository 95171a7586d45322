//! Diffie-Hellman off the data workers: a MODP exponentiation takes as long as a thousand packets.

use super::inbox::{Inbox, Input};
use crate::crypto::dh::DhJob;
use crate::entropy::Entropy;
use crate::packet::WorkerId;
use crate::peer::DhTag;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Jobs that wait at most. At about 1 ms each this is what a client would still wait for.
const QUEUE: usize = 4096;

struct Task {
    worker: WorkerId,
    tag: DhTag,
    job: DhJob,
}

/// The way into the pool.
#[derive(Clone)]
pub(super) struct DhPool {
    tasks: SyncSender<Task>,
}

impl DhPool {
    /// Starts `threads` threads that answer into the workers' inboxes, until every [`DhPool`] handle is gone.
    ///
    /// # Errors
    /// When the system gives no thread or no randomness.
    pub(super) fn start(
        threads: usize,
        inboxes: &Arc<[Inbox]>,
    ) -> anyhow::Result<(Self, Vec<JoinHandle<()>>)> {
        let (tasks, waiting) = sync_channel::<Task>(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut handles = Vec::new();
        for n in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            let inboxes = Arc::clone(inboxes);
            let mut entropy = Entropy::from_system()?;
            let thread = std::thread::Builder::new().name(format!("dh-{n}"));
            handles.push(thread.spawn(move || work(&waiting, &inboxes, &mut entropy))?);
        }
        Ok((Self { tasks }, handles))
    }

    /// Hands a job in; gives it back when the pool has as much as it can take.
    pub(super) fn submit(&self, worker: WorkerId, tag: DhTag, job: DhJob) -> Result<(), (DhTag, DhJob)> {
        match self.tasks.try_send(Task { worker, tag, job }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) => Err((task.tag, task.job)),
        }
    }
}

fn work(waiting: &Mutex<Receiver<Task>>, inboxes: &[Inbox], entropy: &mut Entropy) {
    loop {
        let task = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { worker, tag, job }) = task else { return };
        let result = job.run(entropy);
        if let Some(inbox) = inboxes.get(usize::from(worker.0)) {
            inbox.put(Input::Dh(tag, result));
        }
    }
}
