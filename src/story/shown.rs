//! What the person in front of the client sees: for each cause, the error number and words that this kind of client
//! shows. "Usually": versions differ in their words, and a client that gives up on its own may show a time-out instead.

use super::{Cause, Lang};

/// Kinds of clients as far as their error messages go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Screen {
    /// The VPN client of Windows.
    Windows,
    /// iOS, iPadOS and macOS.
    Apple,
    /// Android's own client, versions 4 to 11.
    Android,
    /// Linux: strongSwan or libreswan with xl2tpd and pppd, by hand or through NetworkManager, ChromeOS.
    Pppd,
}

impl Screen {
    /// The kind of a client by the description that its story has ([`super::Detail::client`]).
    #[must_use]
    pub fn of(client: &str) -> Option<Self> {
        const KINDS: &[(&str, Screen)] = &[
            ("Windows", Screen::Windows),
            ("Apple", Screen::Apple),
            ("Android", Screen::Android),
            ("strongSwan", Screen::Pppd),
            ("libreswan", Screen::Pppd),
            ("NetworkManager", Screen::Pppd),
            ("ChromeOS", Screen::Pppd),
            ("racoon", Screen::Pppd),
            ("clear-text L2TP", Screen::Pppd),
        ];
        KINDS.iter().find(|(name, _)| client.contains(name)).map(|(_, kind)| *kind)
    }

    /// Its name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Windows => "Windows",
            Self::Apple => "iPhone, iPad, Mac",
            Self::Android => "Android",
            Self::Pppd => "Linux",
        }
    }
}

/// What a client shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The error number, where there is one.
    pub number: Option<u16>,
    english: &'static str,
    japanese: &'static str,
}

impl Shown {
    /// The words.
    #[must_use]
    pub const fn text(self, lang: Lang) -> &'static str {
        lang.pick(self.english, self.japanese)
    }
}

const fn number(number: u16, english: &'static str, japanese: &'static str) -> Shown {
    Shown { number: Some(number), english, japanese }
}

const fn words(english: &'static str, japanese: &'static str) -> Shown {
    Shown { number: None, english, japanese }
}

/// One row: what each kind of client shows at one kind of failure.
struct Row {
    windows: Shown,
    apple: Shown,
    android: Shown,
    pppd: Shown,
}

const W628: Shown = number(
    628,
    "The connection was terminated by the remote computer before it could be completed.",
    "接続が完了する前に、リモート コンピューターによって接続が終了しました。",
);
const W646: Shown = number(
    646,
    "The account is not permitted to log on at this time of day.",
    "このアカウントは、この時間帯にログオンすることを許可されていません。",
);
const W647: Shown = number(647, "The account is disabled.", "このアカウントは無効です。");
const W649: Shown = number(
    649,
    "The account does not have permission to dial in.",
    "このアカウントにはダイヤルインのアクセス許可がありません。",
);
const W691: Shown = number(
    691,
    "The remote connection was denied because the user name and password combination you provided is not recognized, or the selected authentication protocol is not permitted.",
    "指定したユーザー名とパスワードの組み合わせが認識されないか、選択した認証プロトコルが許可されていないため、リモート接続が拒否されました。",
);
const W718: Shown = number(
    718,
    "The connection was terminated because the remote computer did not respond in a timely manner.",
    "リモート コンピューターが時間内に応答しなかったため、接続が終了しました。",
);
const W720: Shown = number(
    720,
    "A connection to the remote computer could not be established.",
    "リモート コンピューターへの接続を確立できませんでした。",
);
const W734: Shown =
    number(734, "The PPP link control protocol was terminated.", "PPP リンク制御プロトコルが終了しました。");
const W789: Shown = number(
    789,
    "The L2TP connection attempt failed because the security layer encountered a processing error during initial negotiations with the remote computer.",
    "リモート コンピューターと最初にネゴシエートするときにセキュリティ層で処理エラーが検出されたため、L2TP 接続に失敗しました。",
);
const W809: Shown = number(
    809,
    "The network connection between your computer and the VPN server could not be established because the remote server is not responding.",
    "リモート サーバーが応答しないため、お使いのコンピューターと VPN サーバー間のネットワーク接続を確立できませんでした。",
);
const W_CLOSED: Shown = words(
    "The connection closes without a message; the event log has RasClient 20226 with a reason code.",
    "メッセージなしに切断されます。イベント ログに RasClient 20226 が理由コードと共に残ります。",
);

const A_SILENT: Shown =
    words("The L2TP-VPN server did not respond.", "L2TP-VPN サーバが応答しませんでした。");
const A_AUTH: Shown =
    number(19, "Authentication failed. (PPP Error 19)", "認証に失敗しました。(PPP エラー 19)");
const A_PPP: Shown = number(
    10,
    "A connection could not be established to the PPP server. (PPP Error 10)",
    "PPP サーバへの接続を確立できませんでした。(PPP エラー 10)",
);
const A_L2TP: Shown = number(
    5,
    "A connection could not be established. (L2TP Error 5)",
    "接続できませんでした。(L2TP エラー 5)",
);
const A_CLOSED: Shown =
    words("The connection was closed by the VPN server.", "VPN サーバによって接続が切断されました。");

const D_FAILED: Shown = words("Unsuccessful", "失敗");
const D_TIMEOUT: Shown =
    words("Timeout (after 60 seconds), or Unsuccessful", "タイムアウト (60 秒後) または失敗");
const D_CLOSED: Shown =
    words("The VPN's key vanishes from the status bar.", "ステータス バーから VPN の鍵の印が消えます。");

const L_SILENT: Shown = words(
    "The log has \"giving up after 5 retransmits\" (strongSwan) or \"max number of retransmissions\" (libreswan).",
    "ログに \"giving up after 5 retransmits\" (strongSwan) または \"max number of retransmissions\" (libreswan) と出ます。",
);
const L_PROPOSAL: Shown = words(
    "The log has \"received NO_PROPOSAL_CHOSEN error notify\".",
    "ログに \"received NO_PROPOSAL_CHOSEN error notify\" と出ます。",
);
const L_L2TP: Shown = words(
    "xl2tpd logs \"Connection closed\" with the result code, or \"Maximum retries exceeded\".",
    "xl2tpd のログに、結果コード付きの \"Connection closed\"、または \"Maximum retries exceeded\" と出ます。",
);
const L_10: Shown = number(
    10,
    "pppd exits with code 10: PPP negotiation failed.",
    "pppd が終了コード 10 (PPP の交渉に失敗) で終わります。",
);
const L_19: Shown = number(
    19,
    "pppd exits with code 19: we failed to authenticate ourselves to the peer.",
    "pppd が終了コード 19 (相手による認証に失敗) で終わります。",
);
const L_16: Shown = number(
    16,
    "pppd exits with code 16: the link was terminated by the other side.",
    "pppd が終了コード 16 (相手がリンクを終了) で終わります。",
);

/// IKE failed in a way that the client notices as a failure.
const SECURITY: Row = Row { windows: W789, apple: A_SILENT, android: D_TIMEOUT, pppd: L_SILENT };
const PROPOSAL: Row = Row { windows: W789, apple: A_SILENT, android: D_FAILED, pppd: L_PROPOSAL };
/// Nobody answers, as far as the client can see.
const SILENCE: Row = Row { windows: W809, apple: A_SILENT, android: D_TIMEOUT, pppd: L_SILENT };
const NO_L2TP: Row = Row { windows: W809, apple: A_SILENT, android: D_TIMEOUT, pppd: L_L2TP };
const L2TP: Row = Row { windows: W628, apple: A_L2TP, android: D_FAILED, pppd: L_L2TP };
const REFUSED: Row = Row { windows: W691, apple: A_AUTH, android: D_FAILED, pppd: L_19 };
const HOURS: Row = Row { windows: W646, ..REFUSED };
const DISABLED: Row = Row { windows: W647, ..REFUSED };
const NO_RIGHT: Row = Row { windows: W649, ..REFUSED };
/// Closed by us between the password and the address.
const NO_PLACE: Row = Row { windows: W628, apple: A_PPP, android: D_FAILED, pppd: L_10 };
const PPP: Row = Row { windows: W720, ..NO_PLACE };
const CLOSED: Row = Row { windows: W_CLOSED, apple: A_CLOSED, android: D_CLOSED, pppd: L_16 };

impl Cause {
    const fn row(self) -> Option<Row> {
        Some(match self {
            Self::WrongPsk | Self::PskExpired | Self::AggressiveModeRefused | Self::NoQuickMode => SECURITY,
            Self::NoIkeProposal | Self::NoEspProposal => PROPOSAL,
            Self::Ikev2Client
            | Self::NoNatT
            | Self::IkeUnfinished
            | Self::RawL2tpRefused
            | Self::Banned
            | Self::FloodProtection => SILENCE,
            Self::NoL2tp | Self::L2tpUnfinished => NO_L2TP,
            Self::L2tpRefused => L2TP,
            Self::NoCommonAuth => Row { windows: W734, ..NO_PLACE },
            Self::PppUnfinished => Row { windows: W718, ..NO_PLACE },
            Self::PppRefused | Self::AddressRefused => PPP,
            Self::PskOfOtherHub
            | Self::WrongPassword
            | Self::UnknownUser
            | Self::UnknownHub
            | Self::NoHubNamed => REFUSED,
            Self::OutOfHours => HOURS,
            Self::UserDisabled | Self::AccountExpired => DISABLED,
            Self::AccessDenied | Self::SessionLimit => NO_RIGHT,
            Self::HubOffline
            | Self::PoolEmpty
            | Self::AddressInUse
            | Self::LanDhcpSilent
            | Self::Internal => NO_PLACE,
            Self::LinkLost
            | Self::LanDhcpLost
            | Self::RekeyFailed
            | Self::NatMappingLost
            | Self::ReplacedByNewest
            | Self::Kicked
            | Self::ConfigurationChanged
            | Self::TimeLimit
            | Self::VolumeUsed
            | Self::GatewayStopped => CLOSED,
            // The client stays connected, or went of its own accord.
            Self::MtuBlackHole | Self::DnsUnreachable | Self::PeerLeft | Self::ReplacedBySameDevice => {
                return None;
            }
        })
    }

    /// What this kind of client usually shows for this cause.
    #[must_use]
    pub const fn shown(self, screen: Screen) -> Option<Shown> {
        let Some(row) = self.row() else { return None };
        Some(match screen {
            Screen::Windows => row.windows,
            Screen::Apple => row.apple,
            Screen::Android => row.android,
            Screen::Pppd => row.pppd,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_that_people_ask_about() {
        let number =
            |cause: Cause, client| cause.shown(Screen::of(client).unwrap()).and_then(|shown| shown.number);
        assert_eq!(number(Cause::WrongPsk, "Windows 10 or 11"), Some(789));
        assert_eq!(number(Cause::NoNatT, "Windows"), Some(809));
        assert_eq!(number(Cause::WrongPassword, "Windows 7"), Some(691));
        assert_eq!(number(Cause::UserDisabled, "Windows"), Some(647));
        assert_eq!(number(Cause::WrongPassword, "Apple"), Some(19));
        assert_eq!(number(Cause::WrongPassword, "NetworkManager"), Some(19));
        assert_eq!(number(Cause::WrongPassword, "Android"), None);
        assert_eq!(Cause::PeerLeft.shown(Screen::Windows), None);
        assert_eq!(Screen::of("unknown"), None);
    }
}
