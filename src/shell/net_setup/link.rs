//! Addresses and state of interfaces, through route netlink.

use super::SetupError;
use rtnetlink::{Handle, LinkUnspec};
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
