//! The client's side of the control socket.

use sekisho::control::{Command, Refusal, Reply, VERSION, write_request};
use serde_json::Value;
use std::{
    fs::File,
    io::{BufRead as _, BufReader, ErrorKind, IsTerminal as _, Write},
    os::unix::net::UnixStream,
    path::Path,
};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Error {
    /// The gateway says no.
    Refused(Refusal),
    /// Nobody answers, or no longer; in words, with what to do.
    NoGateway(String),
    /// Something on this side.
    Local(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoGateway(text) | Self::Local(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

/// Sends a command whose answer is followed by a stream, and writes the stream to a file or to standard output.
pub(super) fn stream(socket: &Path, command: &Command, file: Option<&Path>) -> Result<(), Error> {
    let local = |error: std::io::Error| Error::Local(error.to_string());
    let mut out: Box<dyn Write> = match file {
        Some(file) => Box::new(
            File::create(file)
                .map_err(|error| Error::Local(format!("cannot write {}: {error}", file.display())))?,
        ),
        None if std::io::stdout().is_terminal() => {
            let hint = "frames are not for a terminal: --write FILE, or | wireshark -k -i - (tcpdump -r -)";
            return Err(Error::Local(hint.to_owned()));
        }
        None => Box::new(std::io::stdout().lock()),
    };
    let mut lines = send(socket, command)?;
    next_page(socket, &mut lines)?;
    loop {
        let bytes = lines.fill_buf().map_err(local)?;
        if bytes.is_empty() {
            return out.flush().map_err(local);
        }
        let written = bytes.len();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // Whoever read has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            result => result.map_err(local)?,
        }
        lines.consume(written);
    }
}

/// Sends a command and hands every page of rows to `page`, whether it is the last one beside it.
pub(super) fn ask(socket: &Path, command: &Command, page: &mut dyn FnMut(Vec<Value>)) -> Result<(), Error> {
    let mut lines = send(socket, command)?;
    loop {
        let reply = next_page(socket, &mut lines)?;
        page(reply.rows);
        if !reply.more {
            return Ok(());
        }
    }
}

fn lost(socket: &Path, error: &std::io::Error) -> Error {
    Error::NoGateway(format!("the gateway at {} has gone: {error}", socket.display()))
}

fn send(socket: &Path, command: &Command) -> Result<BufReader<UnixStream>, Error> {
    let mut stream =
        UnixStream::connect(socket).map_err(|error| Error::NoGateway(explain(socket, &error)))?;
    let line = write_request(command).map_err(|error| Error::NoGateway(error.to_string()))?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(|error| lost(socket, &error))?;
    Ok(BufReader::with_capacity(64 * 1024, stream))
}

fn next_page(socket: &Path, lines: &mut BufReader<UnixStream>) -> Result<Reply<Value>, Error> {
    let mut line = String::new();
    if lines.read_line(&mut line).map_err(|error| lost(socket, &error))? == 0 {
        return Err(lost(socket, &ErrorKind::UnexpectedEof.into()));
    }
    let reply: Reply<Value> = serde_json::from_str(&line).map_err(|error| {
        let message =
            format!("the answer of {} is not understood (is it a gateway's?): {error}", socket.display());
        Error::NoGateway(message)
    })?;
    if let Some(refusal) = reply.error {
        return Err(Error::Refused(refusal));
    }
    if reply.version != VERSION {
        let message =
            format!("the gateway speaks version {} of the control protocol, not {VERSION}", reply.version);
        return Err(Error::NoGateway(message));
    }
    Ok(reply)
}

fn explain(socket: &Path, error: &std::io::Error) -> String {
    let place = socket.display();
    match error.kind() {
        ErrorKind::NotFound => format!(
            "no gateway runs with the control socket {place}\n    hint: --state-dir or --socket names another, as for `run` and `up`"
        ),
        ErrorKind::ConnectionRefused => {
            format!("no gateway answers at {place}: it was killed, and has left this file")
        }
        ErrorKind::PermissionDenied => {
            format!(
                "no right to use {place}\n    hint: be the user that the gateway runs as, or root: sudo sekisho ctl ..."
            )
        }
        _ => format!("cannot reach {place}: {error}"),
    }
}
