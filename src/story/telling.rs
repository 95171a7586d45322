//! A story as people and programs get it: of a running attempt or an ended one, and told in plain words.

use super::{Attempt, Cause, Detail, Fault, Lang, Record, Screen, Stage};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::time::{Duration, Instant};

/// An attempt that gets no further for this long is told as one that fails, with what its end by silence would be.
/// Every client repeats what gets lost sooner.
const STUCK: Duration = Duration::from_secs(8);

/// Where an attempt stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is on its way.
    Running,
    /// Its link is up.
    Connected,
    /// It ended.
    Ended,
}

impl State {
    /// The word for tables.
    #[must_use]
    pub const fn word(self, lang: Lang) -> &'static str {
        match self {
            Self::Running => lang.pick("running", "進行中"),
            Self::Connected => lang.pick("connected", "接続中"),
            Self::Ended => lang.pick("ended", "終了"),
        }
    }
}

/// A connection attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Story {
    /// Where it stands.
    pub state: State,
    /// Seconds since 1970 at the first packet.
    pub started: u64,
    /// How long it lasted, or has lasted so far.
    pub seconds: f64,
    /// The client's address and port as we saw them.
    pub from: SmolStr,
    /// The address of ours that it came to.
    pub to: SmolStr,
    /// The furthest stage.
    pub stage: SmolStr,
    /// Each stage reached, with its time in seconds from the start.
    pub stages: Vec<(SmolStr, f64)>,
    /// Why it ended, or why it gets no further.
    pub cause: Option<Cause>,
    /// Whether the cause is only what it looks like so far.
    pub suspected: bool,
    /// What was learned on the way.
    #[serde(flatten)]
    pub detail: Detail,
}

/// A story in words.
#[derive(Clone, PartialEq, Debug)]
pub struct Telling {
    /// Who, from where, with what, when.
    pub head: String,
    /// Points with their labels.
    pub points: Vec<(&'static str, String)>,
    /// What happened when, in seconds from the start.
    pub steps: Vec<(f64, String)>,
}

impl Story {
    /// The story of an attempt that ended.
    #[must_use]
    pub fn ended(record: &Record) -> Self {
        Self {
            state: State::Ended,
            started: record.started,
            seconds: record.seconds,
            from: record.from.clone(),
            to: record.to.clone(),
            stage: record.stage.clone(),
            stages: record.stages.clone(),
            cause: Some(record.cause),
            suspected: false,
            detail: record.detail.clone(),
        }
    }

    /// The story so far of an attempt that runs.
    #[must_use]
    pub fn running(attempt: &Attempt, now: Instant) -> Self {
        let silence = (attempt.stuck_for(now) >= STUCK).then(|| attempt.cause_of_silence());
        let cause = attempt.suspected().or(silence);
        let state = if attempt.stage() >= Stage::LinkUp { State::Connected } else { State::Running };
        let told = Self::ended(&attempt.record(now, cause.unwrap_or(Cause::Internal)));
        Self { state, cause, suspected: cause.is_some(), ..told }
    }

    /// Whether it ended as nobody wished, or looks as if it would.
    #[must_use]
    pub fn failed(&self) -> bool {
        match (self.state, self.cause) {
            (_, None) => false,
            (State::Running | State::Connected, Some(_)) => true,
            (State::Ended, Some(cause)) => {
                self.reached() < Some(Stage::LinkUp) || cause.fault() != Fault::Nobody
            }
        }
    }

    /// The furthest stage.
    #[must_use]
    pub fn reached(&self) -> Option<Stage> {
        Stage::from_key(&self.stage)
    }

    /// Who it is, as far as that is known: `user@hub`, or the name as it was typed.
    #[must_use]
    pub fn who(&self) -> String {
        match (self.detail.user.as_str(), self.detail.hub.as_str()) {
            ("", _) => self.detail.name.to_string(),
            (user, "") => user.to_owned(),
            (user, hub) => format!("{user}@{hub}"),
        }
    }

    /// What the person at the client sees: its kind, the error number, the words.
    #[must_use]
    pub fn shown(&self, lang: Lang) -> Option<(Screen, Option<u16>, &'static str)> {
        let screen = Screen::of(&self.detail.client)?;
        let shown = self.cause?.shown(screen)?;
        Some((screen, shown.number, shown.text(lang)))
    }

    /// Tells it. `unix` is the present.
    #[must_use]
    pub fn tell(&self, unix: u64, lang: Lang) -> Telling {
        let detail = &self.detail;
        let mut head = match self.who() {
            who if who.is_empty() => lang.pick("somebody", "名前の不明な利用者").to_owned(),
            who => who,
        };
        match lang {
            Lang::En => head.push_str(&format!(" from {}", self.from)),
            Lang::Ja => head.push_str(&format!(" 接続元 {}", self.from)),
        }
        if !detail.client.is_empty() {
            head.push_str(&format!(" ({})", detail.client));
        }
        let ago = span(unix.saturating_sub(self.started), lang);
        head.push_str(&match lang {
            Lang::En => format!(", {}, {ago} ago", utc(self.started)),
            Lang::Ja => format!("、{}、{ago}前", utc(self.started)),
        });

        let mut points = vec![(lang.pick("What happened", "状況"), self.what_happened(lang))];
        if let Some(stage) = self.reached().filter(|_| self.state != State::Connected) {
            let place = Stage::ALL.iter().position(|other| *other == stage).unwrap_or_default() + 1;
            let text = format!("{} ({place}/{})", stage.text(lang), Stage::ALL.len());
            points.push((lang.pick("How far", "到達段階"), text));
        }
        if let Some(cause) = self.cause {
            points.push((lang.pick("Whose fault", "原因の所在"), cause.fault().sentence(lang).to_owned()));
            points.push((lang.pick("What to do", "対処"), cause.advice_in(lang).to_owned()));
        }
        if let Some((screen, number, text)) = self.shown(lang) {
            let label = lang.pick("Client shows", "端末の表示");
            let name = screen.name();
            points.push((
                label,
                match (number, lang) {
                    (Some(number), Lang::En) => format!("{name}, usually: {number}: {text}"),
                    (Some(number), Lang::Ja) => format!("{name} では通常: {number}: {text}"),
                    (None, Lang::En) => format!("{name}, usually: {text}"),
                    (None, Lang::Ja) => format!("{name} では通常: {text}"),
                },
            ));
        }
        if !detail.name.is_empty() {
            points.push((lang.pick("Name", "名前"), self.reading(lang)));
        }
        if !detail.offered.is_empty() {
            points.push((lang.pick("Offered", "提案"), detail.offered.to_string()));
        }
        if !detail.note.is_empty() {
            points.push((lang.pick("Note", "備考"), detail.note.to_string()));
        }
        let steps = self
            .stages
            .iter()
            .filter_map(|(stage, at)| Some((*at, self.step(Stage::from_key(stage)?, lang))));
        Telling { head, points, steps: steps.collect() }
    }

    fn what_happened(&self, lang: Lang) -> String {
        // A client that is refused at once and one that gives up after a while look different.
        let seconds = match lang {
            _ if self.seconds >= 10.0 => span(self.seconds as u64, lang),
            Lang::En => format!("{:.1} s", self.seconds),
            Lang::Ja => format!("{:.1}秒", self.seconds),
        };
        let summary = self.cause.map(|cause| cause.summary_in(lang)).unwrap_or_default();
        let early = self.reached() < Some(Stage::LinkUp);
        match (self.state, self.cause, lang) {
            (State::Connected, _, Lang::En) => format!("It is connected, for {seconds} now."),
            (State::Connected, _, Lang::Ja) => format!("接続中です ({seconds})。"),
            (State::Running, None, Lang::En) => format!("It is on its way, for {seconds} now."),
            (State::Running, None, Lang::Ja) => format!("接続の途中です ({seconds})。"),
            (State::Running, Some(_), Lang::En) => format!("It gets no further, as it looks: {summary}."),
            (State::Running, Some(_), Lang::Ja) => format!("先へ進んでいません。見たところ、{summary}。"),
            (State::Ended, _, Lang::En) if early => format!("It failed after {seconds}: {summary}."),
            (State::Ended, _, Lang::Ja) if early => format!("{seconds}で失敗しました。{summary}。"),
            (State::Ended, _, Lang::En) => format!("It was connected and ended after {seconds}: {summary}."),
            (State::Ended, _, Lang::Ja) => format!("接続の後、{seconds}で終了しました。{summary}。"),
        }
    }

    fn reading(&self, lang: Lang) -> String {
        let Detail { name, user, hub, rule, .. } = &self.detail;
        if user.is_empty() && hub.is_empty() {
            return name.to_string();
        }
        let hub = if hub.is_empty() { lang.pick("none", "なし") } else { hub };
        match lang {
            Lang::En => format!("`{name}` was read as user `{user}`, hub {hub} (rule: {rule})"),
            Lang::Ja => format!("`{name}` はユーザー `{user}`、ハブ {hub} と読まれました (規則: {rule})"),
        }
    }

    fn step(&self, stage: Stage, lang: Lang) -> String {
        let detail = &self.detail;
        let more: &[&str] = match stage {
            Stage::Ike => &[&detail.client],
            Stage::IkeUp => &[&detail.ike, &detail.nat],
            Stage::IpsecUp => &[&detail.esp],
            Stage::L2tp => &[&detail.host_name],
            Stage::Authentication => &[&detail.auth],
            Stage::LinkUp => &[&detail.address],
            Stage::Lcp | Stage::Address | Stage::Traffic => &[],
        };
        let more: Vec<&str> = more.iter().copied().filter(|text| !text.is_empty()).collect();
        match more.is_empty() {
            true => stage.text(lang).to_owned(),
            false => format!("{} ({})", stage.text(lang), more.join(", ")),
        }
    }
}

impl Stage {
    /// The stage of this name.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.key() == key)
    }

    /// What it means that the stage was reached.
    #[must_use]
    pub const fn text(self, lang: Lang) -> &'static str {
        match self {
            Self::Ike => lang.pick("the first packet came", "最初のパケットが届いた"),
            Self::IkeUp => lang.pick("the pre-shared key was right", "事前共有キーが一致した"),
            Self::IpsecUp => lang.pick("IPsec was up", "IPsec が確立した"),
            Self::L2tp => lang.pick("L2TP began", "L2TP が始まった"),
            Self::Lcp => lang.pick("PPP began", "PPP が始まった"),
            Self::Authentication => {
                lang.pick("user name and password were asked for", "ユーザー名とパスワードを求めた")
            }
            Self::Address => lang.pick("the user was admitted", "ユーザーが認証された"),
            Self::LinkUp => lang.pick("the link was up", "リンクが確立した"),
            Self::Traffic => lang.pick("the client's traffic came", "クライアントの通信が始まった"),
        }
    }
}

/// A length of time in words: its two largest units.
#[must_use]
pub fn span(seconds: u64, lang: Lang) -> String {
    let units = match lang {
        Lang::En => [(86_400, " d"), (3_600, " h"), (60, " min"), (1, " s")],
        Lang::Ja => [(86_400, "日"), (3_600, "時間"), (60, "分"), (1, "秒")],
    };
    let mut words = Vec::new();
    let mut rest = seconds;
    for (unit, word) in units {
        if rest >= unit && words.len() < 2 {
            words.push(format!("{}{word}", rest / unit));
            rest %= unit;
        } else if !words.is_empty() {
            break;
        }
    }
    if words.is_empty() {
        return format!("0{}", units[3].1);
    }
    words.join(lang.pick(" ", ""))
}

/// A moment, in UTC: `2026-11-21 20:01:05 UTC`.
#[must_use]
pub fn utc(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Days since 0000-03-01, so that the leap day is a year's last (Howard Hinnant's civil_from_days).
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year_of_era + era * 400 + carry;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Encap, Path};
    use crate::story::AttemptId;

    fn attempt(now: Instant) -> Attempt {
        let path = Path {
            encap: Encap::NatT,
            local: "192.0.2.1:4500".parse().unwrap(),
            remote: "203.0.113.7:4500".parse().unwrap(),
        };
        let mut attempt = Attempt::new(AttemptId::default(), now, 1_794_000_000, path);
        attempt.detail_mut().client = "Windows 10 or 11".into();
        attempt
    }

    #[test]
    fn moments_are_told_by_the_civil_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_709_251_200), "2024-03-01 00:00:00 UTC");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59:59 UTC");
    }

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        for (seconds, en, ja) in [
            (0, "0 s", "0秒"),
            (59, "59 s", "59秒"),
            (3_600, "1 h", "1時間"),
            (3_725, "1 h 2 min", "1時間2分"),
            (86_405, "1 d", "1日"),
        ] {
            assert_eq!((span(seconds, Lang::En).as_str(), span(seconds, Lang::Ja).as_str()), (en, ja));
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn an_attempt_that_gets_no_further_is_told_as_one_that_fails() {
        let now = Instant::now();
        let mut attempt = attempt(now);
        attempt.reach(now + Duration::from_millis(120), Stage::IkeUp);
        attempt.reach(now + Duration::from_millis(200), Stage::IpsecUp);
        let soon = Story::running(&attempt, now + Duration::from_secs(3));
        assert_eq!((soon.state, soon.cause, soon.failed()), (State::Running, None, false));
        let late = Story::running(&attempt, now + Duration::from_secs(9));
        assert_eq!((late.cause, late.suspected, late.failed()), (Some(Cause::NoL2tp), true, true));
        let told = late.tell(1_794_000_009, Lang::En);
        assert!(
            told.head.starts_with("somebody from 203.0.113.7:4500 (Windows 10 or 11), "),
            "{}",
            told.head
        );
        assert!(told.head.ends_with(", 9 s ago"), "{}", told.head);
        assert!(told.points.iter().any(|(_, text)| text.contains("809")), "{told:?}");
        assert_eq!(told.steps.len(), 3);
        attempt.reach(now + Duration::from_secs(9), Stage::LinkUp);
        let up = Story::running(&attempt, now + Duration::from_secs(900));
        assert_eq!((up.state, up.failed()), (State::Connected, false));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn a_wrong_password_is_told_with_number_and_reading() {
        let now = Instant::now();
        let mut attempt = attempt(now);
        attempt.reach(now, Stage::Authentication);
        let detail = attempt.detail_mut();
        (detail.name, detail.user, detail.hub) = ("jiro@hub1".into(), "jiro".into(), "HUB1".into());
        detail.rule = "suffix".into();
        let record = attempt.record(now + Duration::from_millis(900), Cause::WrongPassword);
        assert!(Story::ended(&record).failed());
        let told = Story::ended(&record).tell(1_794_000_060, Lang::En);
        let text = format!("{told:?}");
        for wanted in [
            "jiro@HUB1 from",
            "691",
            "`jiro@hub1` was read as user `jiro`, hub HUB1",
            "It failed after 0.9 s",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        let text = format!("{:?}", Story::ended(&record).tell(1_794_000_060, Lang::Ja));
        for wanted in ["接続元", "パスワードが違います", "691", "クライアント側"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        // A story survives the way to the client and back.
        let json = serde_json::to_string(&Story::ended(&record)).unwrap();
        let back: Story = serde_json::from_str(&json).unwrap();
        assert_eq!(back.tell(1_794_000_060, Lang::En), told);
    }
}
