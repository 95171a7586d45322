//! The log of everything in a world's thread: kept for the failure report, and watched for lines of level ERROR.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::{Registry, registry::LookupSpan};

/// How many lines a failure shows.
const SHOWN: usize = 60;

#[derive(Default)]
struct Lines {
    at: String,
    last: VecDeque<String>,
    errors: Vec<String>,
}

/// What was logged in this thread since [`Log::begin`].
pub struct Log {
    lines: Arc<Mutex<Lines>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub fn begin() -> Self {
        let lines = Arc::<Mutex<Lines>>::default();
        let print = std::env::var_os("SEKISHO_TEST_LOG").is_some();
        let layer = Collector { lines: lines.clone(), print };
        let guard = tracing::subscriber::set_default(Registry::default().with(layer));
        Self { lines, _guard: guard }
    }

    /// Says what time it is in the world.
    pub fn set_time(&self, at: std::time::Duration) {
        let mut lines = self.lines.lock().unwrap();
        lines.at.clear();
        let _ = write!(lines.at, "{:9.3}", at.as_secs_f64());
    }

    /// Adds a line of the test's own.
    pub fn note(&self, text: &str) {
        let mut lines = self.lines.lock().unwrap();
        let line = format!("{} ---- {text}", lines.at);
        lines.push(line);
    }

    /// Lines of level ERROR; they count no more.
    pub fn take_errors(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap().errors)
    }

    /// The last lines, for a failure report.
    pub fn tail(&self) -> Vec<String> {
        self.lines.lock().unwrap().last.iter().cloned().collect()
    }
}

impl Lines {
    fn push(&mut self, line: String) {
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

struct Collector {
    lines: Arc<Mutex<Lines>>,
    print: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut lines = self.lines.lock().unwrap();
        let level = *event.metadata().level();
        let line = format!("{} {level:5} {}{}", lines.at, fields.message, fields.rest);
        if self.print {
            #[allow(clippy::print_stderr, reason = "asked for, and captured by the test harness")]
            {
                eprintln!("{line}");
            }
        }
        if level == Level::ERROR {
            lines.errors.push(line.clone());
        }
        lines.push(line);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.rest, " {}={value:?}", field.name());
        }
    }
}
