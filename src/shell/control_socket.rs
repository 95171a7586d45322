//! The control socket: a Unix socket that its owner alone may use, lines of JSON both ways (`docs/control.md`). Each
//! connection is a task of the control thread; what it asks goes to the owner of the gatehouse page by page, so that
//! neither a long listing nor a slow reader keeps anybody waiting.

use super::conntrack;
use super::inbox::{Inbox, Input};
use super::monitor::{self, Feed};
use super::usernat::Window;
use crate::config::Network;
use crate::control::{
    Command, Facts, GuestRow, Job, Kind, MonitorRow, NatRow, Page, Refusal, ReloadRow, Reply, Row,
    read_request,
};
use crate::hub::PortId;
use crate::hub::filter::Filter;
use crate::worker::Snapshot;
use anyhow::{Context as _, bail};
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

/// The socket's name in the state directory.
pub const FILE_NAME: &str = "control.sock";

/// Connections at a time.
const CONNECTIONS: usize = 32;

/// The longest line that is read.
const LONGEST_LINE: u64 = 64 * 1024;

/// How long a connection may be idle, and how long its reader may take for a page.
const IDLE: Duration = Duration::from_secs(300);

/// Rows of flows in one line.
const PAGE: usize = 500;

/// How long workers have to tell their counts.
const COUNTING: Duration = Duration::from_secs(1);

/// What connections want of the owner of the gatehouse.
pub(super) enum Call {
    /// The next page of an answer.
    Step(Box<Job>, oneshot::Sender<(Box<Job>, Result<Page, Refusal>)>),
    /// Let a guest in to this hub, or send the one away that is there.
    Guest { hub: Option<String>, answer: oneshot::Sender<Result<Option<GuestRow>, Refusal>> },
    /// Plug a monitor in.
    Monitor { hub: String, feed: Box<Feed>, answer: oneshot::Sender<Result<PortId, Refusal>> },
    /// Take it out again.
    EndMonitor(PortId),
    /// The NATs of a hub, or of all.
    Nats { hub: Option<String>, answer: oneshot::Sender<Result<Nats, Refusal>> },
    /// Read the configuration again.
    Reload { dry_run: bool, answer: oneshot::Sender<Result<ReloadRow, Refusal>> },
}

/// Where to look for flows.
pub(super) struct Nats {
    /// The user-mode NATs, each with its hub.
    pub(super) windows: Vec<(String, Window)>,
    /// Hubs behind the kernel's NAT.
    pub(super) kernel: Vec<(String, Network)>,
}

/// An open control socket; the file goes when this does.
pub(super) struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl ControlSocket {
    /// Opens the socket at `path`. A file that a killed gateway left is replaced.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        make_room(path)?;
        let cannot =
            || format!("cannot open the control socket {} (--socket names another place)", path.display());
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).with_context(cannot)?;
        // Before it is bound: there is no moment at which others may connect.
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR).with_context(cannot)?;
        let address = SockAddr::unix(path).with_context(cannot)?;
        socket.bind(&address).with_context(cannot)?;
        socket.listen(64).with_context(cannot)?;
        socket.set_nonblocking(true).with_context(cannot)?;
        let listener =
            UnixListener::from_std(std::os::unix::net::UnixListener::from(socket)).with_context(cannot)?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// Serves connections until the owner of the gatehouse has gone.
    pub(super) async fn serve(self, calls: mpsc::Sender<Call>, inboxes: Arc<[Inbox]>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = calls.closed() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "control connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (calls, inboxes, places) = (calls.clone(), inboxes.clone(), places.clone());
            tokio::spawn(async move {
                let (read, write) = stream.into_split();
                let mut connection = Connection { read: BufReader::new(read), write, calls, inboxes };
                let Ok(_place) = places.try_acquire() else {
                    let refusal = Refusal::new(
                        Kind::Busy,
                        format!("there are {CONNECTIONS} control connections already"),
                    );
                    let _ = connection.refuse(refusal).await;
                    return;
                };
                loop {
                    let mut line = Vec::new();
                    let mut bounded = (&mut connection.read).take(LONGEST_LINE);
                    match timeout(IDLE, bounded.read_until(b'\n', &mut line)).await {
                        Ok(Ok(1..)) => {}
                        _ => return,
                    }
                    if line.len() as u64 == LONGEST_LINE {
                        let _ =
                            connection.refuse(Refusal::new(Kind::BadRequest, "the line is too long")).await;
                        return;
                    }
                    if line.iter().all(u8::is_ascii_whitespace) {
                        continue;
                    }
                    // A reader who has gone ends the connection and nothing else.
                    if connection.answer(&line).await.is_err() {
                        return;
                    }
                }
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what a killed gateway left; anything else stays.
fn make_room(path: &Path) -> anyhow::Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(file) => file.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot look at {}", path.display())),
    };
    if !kind.is_socket() {
        bail!("{} exists and is not a socket: --socket names another place", path.display());
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        bail!(
            "another gateway answers at {}: stop it, or give this one another place with --socket",
            path.display()
        );
    }
    std::fs::remove_file(path).with_context(|| format!("cannot remove the old {}", path.display()))
}

struct Connection {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    calls: mpsc::Sender<Call>,
    inboxes: Arc<[Inbox]>,
}

impl Connection {
    async fn answer(&mut self, line: &[u8]) -> std::io::Result<()> {
        let command = match read_request(line) {
            Ok(command) => command,
            Err(refusal) => return self.refuse(refusal).await,
        };
        if command.changes() {
            tracing::info!(?command, step = "control", "told by the control socket");
        }
        if let Command::Reload { dry_run } = command {
            let (answer, answered) = oneshot::channel();
            let sent = self.calls.send(Call::Reload { dry_run, answer }).await.is_ok();
            return match answered.await {
                Ok(Ok(row)) if sent => {
                    self.write(&Reply::rows(vec![Row::Reload(Box::new(row))], false)).await
                }
                Ok(Err(refusal)) => self.refuse(refusal).await,
                _ => self.refuse(Refusal::new(Kind::Failed, "the gateway is stopping")).await,
            };
        }
        if let Command::Guest { .. } | Command::GuestLeaves {} = command {
            let hub = if let Command::Guest { hub } = command { Some(hub) } else { None };
            let (answer, answered) = oneshot::channel();
            let sent = self.calls.send(Call::Guest { hub, answer }).await.is_ok();
            return match answered.await {
                Ok(Ok(row)) if sent => {
                    let rows = row.into_iter().map(Row::Guest).collect();
                    self.write(&Reply::rows(rows, false)).await
                }
                Ok(Err(refusal)) => self.refuse(refusal).await,
                _ => self.refuse(Refusal::new(Kind::Failed, "the gateway is stopping")).await,
            };
        }
        if let Command::NatList { hub } = command {
            return self.flows(hub).await;
        }
        if let Command::HubMonitor { hub, filter, count } = command {
            return self.monitor(hub, filter, count).await;
        }
        let workers = if command.asks_workers() { self.count().await } else { Vec::new() };
        let mut job = Box::new(Job::new(command, workers));
        loop {
            let (answer, answered) = oneshot::channel();
            let sent = self.calls.send(Call::Step(job, answer)).await.is_ok();
            let Some((same, page)) = answered.await.ok().filter(|_| sent) else {
                return self.refuse(Refusal::new(Kind::Failed, "the gateway is stopping")).await;
            };
            job = same;
            match page {
                Ok(Page { rows, more }) => {
                    // A page without rows is one of a search that goes on.
                    if !rows.is_empty() || !more {
                        self.write(&Reply::rows(rows, more)).await?;
                    }
                    if !more {
                        return Ok(());
                    }
                }
                Err(refusal) => return self.refuse(refusal).await,
            }
        }
    }

    /// Sends the frames of a hub as pcapng behind the line that answers, until the other side has had enough. Then the
    /// connection is over.
    async fn monitor(&mut self, hub: String, filter: String, count: Option<u64>) -> std::io::Result<()> {
        let parsed = match Filter::parse(&filter) {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse(Refusal::new(Kind::BadRequest, error.to_string())).await,
        };
        let (feed, watch) = monitor::pair(parsed);
        let (answer, answered) = oneshot::channel();
        let call = Call::Monitor { hub: hub.clone(), feed: Box::new(feed), answer };
        let sent = self.calls.send(call).await.is_ok();
        let port = match answered.await {
            Ok(Ok(port)) if sent => port,
            Ok(Err(refusal)) => return self.refuse(refusal).await,
            _ => return self.refuse(Refusal::new(Kind::Failed, "the gateway is stopping")).await,
        };
        let row = MonitorRow { hub: hub.clone(), filter: filter.clone(), format: "pcapng".to_owned() };
        let mut result = self.write(&Reply::rows(vec![Row::Monitor(row)], false)).await;
        let (chunks, mut ready) = mpsc::channel::<Vec<u8>>(4);
        let write = move || watch.write(&hub, &filter, count, |chunk| chunks.blocking_send(chunk).is_ok());
        let writer = std::thread::Builder::new().name("monitor".to_owned()).spawn(write)?;
        let mut idle = [0; 64];
        while result.is_ok() {
            tokio::select! {
                chunk = ready.recv() => match chunk {
                    Some(chunk) => {
                        let written = timeout(IDLE, self.write.write_all(&chunk)).await;
                        result = written.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
                    }
                    None => break,
                },
                // Whatever else is said, the end is what matters.
                read = self.read.read(&mut idle) => if !matches!(read, Ok(1..)) { break },
            }
        }
        drop(ready);
        let _ = self.calls.send(Call::EndMonitor(port)).await;
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        tracing::info!(step = "control", "monitor ended");
        Err(result.err().unwrap_or_else(|| ErrorKind::ConnectionAborted.into()))
    }

    /// Lists the flows of NATs, by hub, client and protocol: first those of the kernel's.
    async fn flows(&mut self, hub: Option<String>) -> std::io::Result<()> {
        let (answer, answered) = oneshot::channel();
        let sent = self.calls.send(Call::Nats { hub, answer }).await.is_ok();
        let Nats { windows, kernel } = match answered.await {
            Ok(Ok(nats)) if sent => nats,
            Ok(Err(refusal)) => return self.refuse(refusal).await,
            _ => return self.refuse(Refusal::new(Kind::Failed, "the gateway is stopping")).await,
        };
        let mut rows = Vec::new();
        if !kernel.is_empty() {
            let table = tokio::task::spawn_blocking(move || conntrack::flows(&kernel)).await;
            match table.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                Ok(flows) => rows.extend(flows.into_iter().map(Row::Nat)),
                Err(_) if !windows.is_empty() => {}
                Err(error) => {
                    let message =
                        format!("the kernel's connections cannot be read here ({error}): see `conntrack -L`");
                    return self.refuse(Refusal::new(Kind::Failed, message)).await;
                }
            }
        }
        for (hub, window) in windows {
            let Some(mut flows) = window.flows().await else {
                return self
                    .refuse(Refusal::new(Kind::Failed, format!("the NAT of hub {hub} does not answer")))
                    .await;
            };
            flows.sort_by_key(|flow| (flow.client, flow.protocol, flow.server));
            rows.extend(flows.into_iter().map(|flow| {
                Row::Nat(NatRow {
                    hub: hub.clone(),
                    protocol: flow.protocol.to_owned(),
                    client: flow.client.to_string(),
                    server: flow.server.map(|server| server.to_string()),
                    state: flow.state.to_owned(),
                    left_seconds: flow.left.as_secs(),
                })
            }));
        }
        let mut rows = rows.into_iter().peekable();
        loop {
            let page: Vec<Row> = rows.by_ref().take(PAGE).collect();
            let more = rows.peek().is_some();
            self.write(&Reply::rows(page, more)).await?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Asks all workers for their counts at once.
    async fn count(&self) -> Vec<Option<Snapshot>> {
        let ask = |inbox: &Inbox| {
            let (answer, answered) = oneshot::channel();
            inbox.put(Input::Count(answer));
            answered
        };
        let asked: Vec<_> = self.inboxes.iter().map(ask).collect();
        let deadline = Instant::now() + COUNTING;
        let mut counts = Vec::new();
        for answered in asked {
            counts.push(timeout_at(deadline, answered).await.ok().and_then(Result::ok));
        }
        counts
    }

    async fn refuse(&mut self, refusal: Refusal) -> std::io::Result<()> {
        self.write(&Reply::<Row>::refused(refusal)).await
    }

    async fn write(&mut self, reply: &Reply<Row>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        timeout(IDLE, self.write.write_all(&line)).await?
    }
}

/// Serves what a connection wants.
pub(super) fn step(
    gatehouse: &mut crate::gatehouse::Gatehouse,
    facts: &Facts,
    mut job: Box<Job>,
    answer: oneshot::Sender<(Box<Job>, Result<Page, Refusal>)>,
) -> crate::gatehouse::Output {
    let mut out = crate::gatehouse::Output::default();
    let page = job.step(super::worker_thread::clock(), facts, gatehouse, &mut out);
    // Whoever asked may have gone.
    let _ = answer.send((job, page));
    out
}
