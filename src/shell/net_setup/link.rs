//! Addresses and state of interfaces, through route netlink.

use super::SetupError;
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo};
use rtnetlink::{Handle, LinkBridge, LinkUnspec};
use std::net::{IpAddr, Ipv4Addr};

/// Sets MAC address and MTU, and switches the interface on.
pub(super) async fn up(name: &str, index: u32, mac: [u8; 6], mtu: u16) -> Result<(), SetupError> {
    with_netlink("switch on", name, async |handle| {
        // Most drivers refuse a new MAC while the interface is up; ours is not up yet.
        let wanted = LinkUnspec::new_with_index(index).address(mac.to_vec()).mtu(u32::from(mtu)).up().build();
        handle.link().set(wanted).execute().await
    })
    .await
}

/// Gives the interface an address, unless it has that one; the route to its network comes with it.
pub(super) async fn add_address(
    name: &str,
    index: u32,
    address: Ipv4Addr,
    prefix: u8,
) -> Result<(), SetupError> {
    with_netlink("give an address to", name, async |handle| {
        handle.address().add(index, IpAddr::V4(address), prefix).replace().execute().await
    })
    .await
}

async fn with_netlink(
    action: &'static str,
    interface: &str,
    task: impl AsyncFnOnce(Handle) -> Result<(), rtnetlink::Error>,
) -> Result<(), SetupError> {
    let failed = |error: String| SetupError::Interface { action, interface: interface.to_owned(), error };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(|error| failed(error.to_string()))?;
    let connection = tokio::spawn(connection);
    let result = task(handle).await;
    connection.abort();
    result.map_err(|error| {
        failed(match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io().to_string(),
            other => other.to_string(),
        })
    })
}

/// An interface, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) index: u32,
    pub(super) is_bridge: bool,
    /// The bridge that it is in.
    pub(super) controller: Option<u32>,
    pub(super) up: bool,
}

/// The interface of this name, if there is one.
pub(super) async fn find(name: &str) -> Result<Option<Found>, SetupError> {
    let mut found = None;
    with_netlink("look at", name, async |handle| {
        let mut links = handle.link().get().match_name(name.to_owned()).execute();
        let message = match links.try_next().await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut link = Found {
            index: message.header.index,
            is_bridge: false,
            controller: None,
            up: message.header.flags.contains(LinkFlags::Up),
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::Controller(index) if index != 0 => link.controller = Some(index),
                LinkAttribute::LinkInfo(infos) => {
                    link.is_bridge =
                        infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Bridge)));
                }
                _ => {}
            }
        }
        found = Some(link);
        Ok(())
    })
    .await?;
    Ok(found)
}

/// The IPv4 addresses of an interface.
pub(super) async fn addresses(index: u32) -> Result<Vec<IpAddr>, SetupError> {
    let mut found = Vec::new();
    with_netlink("look at", "addresses", async |handle| {
        let mut addresses = handle.address().get().set_link_index_filter(index).execute();
        while let Some(message) = addresses.try_next().await? {
            found.extend(message.attributes.into_iter().filter_map(|attribute| match attribute {
                AddressAttribute::Address(address) if address.is_ipv4() => Some(address),
                _ => None,
            }));
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Makes a bridge, switches it on, and says its number.
pub(super) async fn make_bridge(name: &str) -> Result<u32, SetupError> {
    with_netlink("make the bridge", name, async |handle| {
        handle.link().add(LinkBridge::new(name).up().build()).execute().await
    })
    .await?;
    let missing = || SetupError::Interface {
        action: "make the bridge",
        interface: name.to_owned(),
        error: "it is not there".to_owned(),
    };
    find(name).await?.map(|found| found.index).ok_or_else(missing)
}

/// Puts an interface into a bridge, or takes it out.
pub(super) async fn set_controller(name: &str, index: u32, bridge: Option<u32>) -> Result<(), SetupError> {
    with_netlink("put into a bridge", name, async |handle| {
        let change = LinkUnspec::new_with_index(index);
        let change = match bridge {
            Some(bridge) => change.controller(bridge),
            None => change.nocontroller(),
        };
        handle.link().set(change.build()).execute().await
    })
    .await
}

/// Switches an interface on or off.
pub(super) async fn set_up(name: &str, index: u32, up: bool) -> Result<(), SetupError> {
    with_netlink("switch", name, async |handle| {
        let change = LinkUnspec::new_with_index(index);
        handle.link().set(if up { change.up() } else { change.down() }.build()).execute().await
    })
    .await
}

/// Removes an interface.
pub(super) async fn remove(name: &str, index: u32) -> Result<(), SetupError> {
    with_netlink("remove", name, async |handle| handle.link().del(index).execute().await).await
}

/// Runs a task to its end where nobody may wait: on a thread of its own, in this thread's network namespace.
pub(super) fn blocking<T: Send>(task: impl Future<Output = Option<T>> + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(task)
        };
        scope.spawn(run).join().ok().flatten()
    })
}
