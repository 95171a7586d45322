//! The client's side of the control socket.

use sekisho::control::{Command, Refusal, Reply, VERSION, write_request};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
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
}

/// Sends a command and hands every page of rows to `page`, whether it is the last one beside it.
pub(super) fn ask(socket: &Path, command: &Command, page: &mut dyn FnMut(Vec<Value>)) -> Result<(), Error> {
    let lost = |error: std::io::Error| {
        Error::NoGateway(format!("the gateway at {} has gone: {error}", socket.display()))
    };
    let mut stream =
        UnixStream::connect(socket).map_err(|error| Error::NoGateway(explain(socket, &error)))?;
    let line = write_request(command).map_err(|error| Error::NoGateway(error.to_string()))?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(lost)?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).map_err(lost)? == 0 {
            return Err(lost(ErrorKind::UnexpectedEof.into()));
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
            let message = format!(
                "the gateway speaks version {} of the control protocol, not {VERSION}",
                reply.version
            );
            return Err(Error::NoGateway(message));
        }
        page(reply.rows);
        if !reply.more {
            return Ok(());
        }
    }
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
