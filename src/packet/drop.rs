//! Why a packet went no further. Every variant is a metric's label; nothing is dropped without one.

/// The reason why a packet was dropped. Cheap and `Copy`: dropping must cost less than accepting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Drop {
    /// Bytes that do not parse.
    #[error("malformed: {0}")]
    Malformed(#[from] crate::wire::Error),
    /// A datagram that is none of the protocols of its port.
    #[error("not a known protocol")]
    Unclassified,
    /// A NAT keepalive: nothing to do, and no sign of life.
    #[error("NAT keepalive")]
    Keepalive,

    // -- IKE --
    /// Cookies that name no ISAKMP SA or exchange of ours.
    #[error("unknown ISAKMP cookies")]
    UnknownCookies,
    /// A message that does not fit the state of its exchange.
    #[error("message out of order")]
    OutOfOrder,
    /// A repeated request, answered from the cache.
    #[error("repeated request")]
    Repeated,
    /// A HASH payload that does not verify, or a decryption that yields no message.
    #[error("IKE authentication failed")]
    IkeAuthFailed,
    /// A protected exchange without encryption, or the reverse.
    #[error("IKE message not protected as its exchange demands")]
    IkeNotProtected,
    /// An exchange type that we do not speak (IKEv2, Aggressive Mode without a group, New Group Mode).
    #[error("IKE exchange type refused")]
    IkeExchangeRefused,
    /// Nothing in the proposal is acceptable.
    #[error("no acceptable proposal")]
    NoProposalChosen,
    /// Too many half-open exchanges, from this source or in all.
    #[error("too many half-open exchanges")]
    HalfOpenLimit,
    /// A first message from a source that has failed too often.
    #[error("source is barred")]
    Barred,
    /// A first message from a source that is slowed down after failures.
    #[error("source is slowed down")]
    SlowedDown,
    /// More key agreements wait than will be done while their clients do.
    #[error("too many key agreements wait")]
    Busy,
    /// Too many of something that one peer may own (SAs, exchanges, tunnels, sessions).
    #[error("too many per peer")]
    PeerLimit,

    // -- ESP --
    /// An SPI that names no SA of ours.
    #[error("unknown SPI")]
    UnknownSpi,
    /// A sequence number that was seen before or is too old.
    #[error("replayed")]
    Replayed,
    /// An ICV that does not verify.
    #[error("bad ICV")]
    BadIcv,
    /// A packet on a way that its SA does not allow (plain ESP on a UDP-encapsulated SA).
    #[error("wrong encapsulation")]
    WrongEncap,
    /// No SA to send with, or its sequence numbers are used up.
    #[error("no usable outbound SA")]
    NoOutboundSa,
    /// Inner traffic that the SA's selectors do not allow.
    #[error("outside the SA's selectors")]
    BadSelector,

    // -- L2TP and PPP --
    /// A tunnel ID that this peer does not own.
    #[error("unknown L2TP tunnel")]
    UnknownTunnel,
    /// A session ID that this tunnel does not own.
    #[error("unknown L2TP session")]
    UnknownSession,
    /// A control message outside the receive window.
    #[error("outside the L2TP window")]
    OutsideWindow,
    /// A PPP protocol that is rejected or not open yet.
    #[error("PPP protocol not open")]
    PppNotOpen,
    /// Clear-text L2TP where it is switched off or not allowed.
    #[error("clear-text L2TP not allowed")]
    RawL2tpRefused,

    // -- hub --
    /// A frame that its sender may not send (foreign MAC or address).
    #[error("spoofed source")]
    SpoofedSource,
    /// A policy discards it.
    #[error("discarded by policy")]
    Policy,
    /// The hub's access list discards it.
    #[error("discarded by access list")]
    AccessList,
    /// Longer than the way allows.
    #[error("too big")]
    TooBig,
    /// A rate limit, or a flood limit.
    #[error("rate limit")]
    RateLimit,
    /// A full queue.
    #[error("queue full")]
    QueueFull,
    /// Nobody answered for the next hop's address.
    #[error("next hop unresolved")]
    Unresolved,
    /// A router knows no way to the destination.
    #[error("no route")]
    NoRoute,
    /// A packet that has passed as many routers as it may.
    #[error("TTL exceeded")]
    TtlExceeded,
    /// No port to send it to.
    #[error("no destination port")]
    NoPort,
    /// A protocol that the receiving side does not carry.
    #[error("not carried")]
    NotCarried,
    /// A new MAC address on a port or hub that has as many as it may.
    #[error("too many MAC addresses")]
    MacLimit,
    /// A new IP address on a port that has as many as it may.
    #[error("too many IP addresses")]
    IpLimit,
    /// From one client to another where they are kept apart.
    #[error("clients are isolated")]
    Isolated,
    /// A broadcast, multicast or flooded frame beyond the limit of its port or hub.
    #[error("broadcast storm")]
    Storm,
    /// A DHCP server's or router's message from where none may be.
    #[error("DHCP server or router not allowed here")]
    RogueServer,
}
