//! Why connection attempts end: one list, used by logs, metrics, the stored stories and what the client is told.

use super::Lang;
use super::japanese::japanese;
use serde::{Deserialize, Serialize};

/// Who has to change something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The person or device that connects: a wrong key, password, setting.
    Client,
    /// Something between: a NAT, a firewall, a link.
    Network,
    /// This gateway's configuration or environment.
    Gateway,
    /// Nobody: a normal end.
    Nobody,
}

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $key:literal, $fault:ident, $summary:literal, $advice:literal;)*) => {
        /// Why an attempt ended.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Cause { $($(#[$doc])* $variant,)* }

        impl Cause {
            /// Every cause.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, for logs, metrics and programs.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)* }
            }

            /// Who has to change something.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

causes! {
    /// Message 5 decrypts to garbage under every key that we know.
    WrongPsk = "wrong_psk", Client, "the client has another pre-shared key",
        "Type the pre-shared key again on the client: no blanks around it, and mind capital letters.";
    /// The key is one of ours but is bound to another hub than the user asked for.
    PskOfOtherHub = "psk_of_other_hub", Client, "the pre-shared key belongs to another hub than the user name asks for",
        "Give the client the pre-shared key of its hub, or name the key's hub in the user name.";
    /// A key that has ended was used.
    PskExpired = "psk_expired", Client, "the client still has a pre-shared key that has ended",
        "Give the client the new pre-shared key, or extend `until` of the old one.";
    /// No Phase 1 transform in common.
    NoIkeProposal = "no_ike_proposal", Client, "no IKE cipher suite in common",
        "Compare what the client offered with `ipsec.policy`; `legacy` allows more.";
    /// No ESP transform in common.
    NoEspProposal = "no_esp_proposal", Client, "no ESP cipher suite in common",
        "Compare what the client offered with `ipsec.policy`; `legacy` allows more.";
    /// Aggressive Mode without a configured group.
    AggressiveModeRefused = "aggressive_mode_refused", Client, "the client asked for Aggressive Mode, which is off",
        "Empty the field `group name` or `IPsec identifier` on the client, or configure that group with its own key.";
    /// An IKEv2 request.
    Ikev2Client = "ikev2_client", Client, "the client speaks IKEv2, which this gateway does not yet",
        "Choose the type `L2TP/IPsec with pre-shared key` on the client (Android 12 and later offer IKEv2 alone).";
    /// Port 500 was reached, port 4500 never.
    NoNatT = "no_nat_t", Network, "the client reached UDP port 500 but never port 4500",
        "Open UDP 4500 on the way. On Windows with this gateway behind NAT set the registry value AssumeUDPEncapsulationContextOnSendRule to 2 and restart the PC.";
    /// Phase 1 stopped before the key could be judged.
    IkeUnfinished = "ike_unfinished", Network, "the client stopped in the middle of the IKE handshake",
        "Check that UDP 500 and 4500 pass in both directions; a scanner also looks like this.";
    /// Phase 1 up, nothing more.
    NoQuickMode = "no_quick_mode", Client, "the key was right, but the client never asked for ESP",
        "Try again; if it stays, the client's IPsec settings are not those of L2TP/IPsec.";
    /// ESP up, no L2TP.
    NoL2tp = "no_l2tp", Network, "IPsec came up, but no L2TP came through it",
        "A firewall may block ESP, the client may truncate SHA2-256 in its own way, or a second client shares its NAT port.";
    /// Clear-text L2TP while it is off.
    RawL2tpRefused = "raw_l2tp_refused", Client, "the client spoke L2TP without IPsec",
        "Set the pre-shared key on the client so that it uses IPsec, or allow clear text with `listen.raw_l2tp`.";
    /// L2TP was refused by one of the two sides.
    L2tpRefused = "l2tp_refused", Client, "L2TP was refused",
        "The result and error codes in the record say which side refused and why.";
    /// L2TP stopped in the middle.
    L2tpUnfinished = "l2tp_unfinished", Network, "the client stopped in the middle of the L2TP set-up",
        "Look for packet loss on the way, or for a client that gave up after its own time-out.";
    /// No authentication protocol in common.
    NoCommonAuth = "no_common_auth", Client, "no PPP authentication protocol in common",
        "Tick MS-CHAPv2 on the client, or add what it wants to `ppp.auth`.";
    /// PPP negotiation failed or stopped.
    PppUnfinished = "ppp_unfinished", Network, "the client stopped in the middle of the PPP negotiation",
        "Look for packet loss on the way, or for a client that gave up after its own time-out.";
    /// PPP options did not converge.
    PppRefused = "ppp_refused", Client, "PPP negotiation did not come to an agreement",
        "The note in the record names the option.";
    /// Wrong password.
    WrongPassword = "wrong_password", Client, "the user is known, the password is wrong",
        "Type the password again on the client, or set a new one with `sekisho user passwd`.";
    /// Unknown user in a known hub.
    UnknownUser = "unknown_user", Client, "the hub has no such user",
        "Check the spelling; the record says how the name was read.";
    /// The name asks for a hub that does not exist.
    UnknownHub = "unknown_hub", Client, "there is no such hub",
        "Check the part after `@` or before `\\` of the user name.";
    /// No default hub and none named.
    NoHubNamed = "no_hub_named", Client, "the user name names no hub, and there is no default hub",
        "Write `user@hub`, or set `default_hub`.";
    /// The account is disabled.
    UserDisabled = "user_disabled", Client, "the account is disabled",
        "Enable it in the configuration.";
    /// The account has expired.
    AccountExpired = "account_expired", Client, "the account has expired",
        "Set a later `expires`.";
    /// Outside the allowed hours.
    OutOfHours = "out_of_hours", Client, "the user may not connect at this time",
        "Change the allowed `hours`.";
    /// Access denied by policy.
    AccessDenied = "access_denied", Client, "a policy denies this user access",
        "Change `access` in the policy of the user, group or hub.";
    /// The hub is offline.
    HubOffline = "hub_offline", Gateway, "the hub is offline",
        "Bring it online: `sekisho ctl hub online HUB`.";
    /// Too many sessions.
    SessionLimit = "session_limit", Client, "the user or hub has as many sessions as are allowed",
        "Close one, raise `max_sessions`, or set `on_limit` to replace.";
    /// No free address.
    PoolEmpty = "pool_empty", Gateway, "no free address in the hub",
        "Make `dhcp.range` larger or the lease shorter.";
    /// The user's fixed address is in use.
    AddressInUse = "address_in_use", Gateway, "the user's fixed address is in use by another",
        "Give each user an address of its own.";
    /// The LAN's DHCP server is silent.
    LanDhcpSilent = "lan_dhcp_silent", Gateway, "no DHCP server answered on the LAN",
        "Check the bridge and the LAN's DHCP server, or use the hub's own address range.";
    /// The LAN's DHCP server did not prolong the address.
    LanDhcpLost = "lan_dhcp_lost", Gateway, "the LAN's DHCP server took the address back or let it end",
        "Connect again; if it stays, check the LAN's DHCP server and the bridge.";
    /// The client insisted on another address.
    AddressRefused = "address_refused", Client, "the client refused the address that it was given",
        "Remove the fixed address from the client's settings, or allow it to this user.";
    /// Large packets vanish.
    MtuBlackHole = "mtu_black_hole", Network, "small packets pass, large ones vanish",
        "Lower `ppp.mru`; something on the way drops fragments.";
    /// The uplink has no DNS.
    DnsUnreachable = "dns_unreachable", Gateway, "the DNS servers that clients are given do not answer",
        "Check `dhcp.dns` and the gateway's own internet access.";
    /// Silence.
    LinkLost = "link_lost", Network, "the client has been silent for too long",
        "Nothing, if the device was switched off; `dead_after` says how long we wait.";
    /// The client said goodbye.
    PeerLeft = "peer_left", Nobody, "the client disconnected",
        "Nothing.";
    /// The ISAKMP or ESP SAs ended and were not renewed.
    RekeyFailed = "rekey_failed", Network, "the keys ended and could not be renewed",
        "Look for packet loss on the way at the time of the record.";
    /// The NAT mapping went away.
    NatMappingLost = "nat_mapping_lost", Network, "the NAT in between forgot the client",
        "Nothing, if it is rare; otherwise raise the NAT's UDP time-out.";
    /// The same device came back.
    ReplacedBySameDevice = "replaced_by_same_device", Nobody, "the same device connected again",
        "Nothing.";
    /// Another device of the user took the place.
    ReplacedByNewest = "replaced_by_newest", Nobody, "another device of the same user took its place",
        "Nothing, or raise `max_sessions`.";
    /// An administrator closed it.
    Kicked = "kicked", Nobody, "an administrator closed the session",
        "Ask the administrator.";
    /// Its configuration went away.
    ConfigurationChanged = "configuration_changed", Nobody, "a reload removed the user, key or hub",
        "Connect again with the new settings.";
    /// Idle or session time-out.
    TimeLimit = "time_limit", Nobody, "the session reached its time limit",
        "Connect again.";
    /// Monthly volume used up.
    VolumeUsed = "volume_used", Client, "the user's volume is used up",
        "Wait for the next month, or raise `volume`.";
    /// The source is barred.
    Banned = "banned", Client, "too many failures from this source",
        "Wait, or clear it: `sekisho ctl ban clear`.";
    /// The gateway stopped.
    GatewayStopped = "gateway_stopped", Gateway, "the gateway was stopped or restarted",
        "Connect again.";
    /// Too many half-open exchanges.
    FloodProtection = "flood_protection", Network, "flood protection turned the client away",
        "Try again; if it stays, look for the source of the flood.";
    /// A defect or a lack of resources here.
    Internal = "internal", Gateway, "the gateway could not go on",
        "See the log at this time, and report it.";
}

impl Cause {
    /// The cause of this name.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.key() == key)
    }

    /// What happened, in a language.
    #[must_use]
    pub const fn summary_in(self, lang: Lang) -> &'static str {
        lang.pick(self.summary(), japanese(self).0)
    }

    /// What to do about it, in a language.
    #[must_use]
    pub const fn advice_in(self, lang: Lang) -> &'static str {
        lang.pick(self.advice(), japanese(self).1)
    }
}

impl Fault {
    /// The stable name, for logs and programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Network => "network",
            Self::Gateway => "gateway",
            Self::Nobody => "nobody",
        }
    }

    /// Whose fault, as a sentence.
    #[must_use]
    pub const fn sentence(self, lang: Lang) -> &'static str {
        match self {
            Self::Client => lang.pick(
                "On the client's side: its settings, or what was typed.",
                "クライアント側: 設定、または入力された内容。",
            ),
            Self::Network => lang.pick(
                "On the way: a firewall, a NAT, a lost connection.",
                "途中の経路: ファイアウォール、NAT、または回線の途切れ。",
            ),
            Self::Gateway => lang.pick(
                "On the gateway's side: its configuration or environment.",
                "ゲートウェイ側: 設定または動作環境。",
            ),
            Self::Nobody => {
                lang.pick("Nobody's: this is a normal end.", "誰にもありません: 正常な終了です。")
            }
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Lang};

    #[test]
    fn every_cause_is_told_in_both_languages() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_key(cause.key()), Some(*cause));
            for lang in [Lang::En, Lang::Ja] {
                assert!(!cause.summary_in(lang).is_empty() && !cause.advice_in(lang).is_empty(), "{cause}");
            }
            assert!(cause.summary_in(Lang::Ja).chars().filter(|c| !c.is_ascii()).count() > 4, "{cause}");
            assert!(cause.advice_in(Lang::Ja).ends_with('。'), "{cause}");
            assert!(
                !cause.summary_in(Lang::Ja).ends_with('。'),
                "{cause}: as in English, a part of a sentence"
            );
            // What is to be typed or looked up is the same in both.
            let typed =
                |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
            let (mut en, mut ja) = (typed(cause.advice_in(Lang::En)), typed(cause.advice_in(Lang::Ja)));
            en.retain(|word| word.contains('_') || word.contains(' ') && word.starts_with("sekisho"));
            ja.retain(|word| word.contains('_') || word.contains(' ') && word.starts_with("sekisho"));
            en.sort();
            ja.sort();
            assert_eq!(en, ja, "{cause}");
        }
    }

    #[test]
    fn keys_are_distinct_and_equal_their_serde_names() {
        let mut keys: Vec<_> = Cause::ALL.iter().map(|cause| cause.key()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_string(cause).unwrap(), format!("\"{}\"", cause.key()));
        }
    }
}
