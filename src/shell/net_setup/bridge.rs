//! Bridges of the host: joined or made, and left as they were.

use super::journal::Link;
use super::link::{self, Found};
use super::{HostSetup, SetupError};
use crate::shell::tap::Tap;
use std::fs;

impl HostSetup {
    /// Puts a TAP into a bridge, which is made where it is not there, and an interface into it where said.
    ///
    /// # Errors
    /// When the interface is the host's own (it has addresses, or is in another bridge), or the system refuses.
    pub async fn bridge(
        &mut self,
        tap: &Tap,
        bridge: &str,
        interface: Option<&str>,
    ) -> Result<(), SetupError> {
        let refused = |name: &str, action, error: String| SetupError::Interface {
            action,
            interface: name.to_owned(),
            error,
        };
        let into = match link::find(bridge).await? {
            Some(found) if found.is_bridge => found.index,
            Some(_) => return Err(refused(bridge, "use as a bridge", "it is none".to_owned())),
            None => {
                self.journal.note_link(Link::Made(bridge.to_owned()))?;
                link::make_bridge(bridge).await?
            }
        };
        if let Some(name) = interface {
            let Some(Found { index, controller, up, .. }) = link::find(name).await? else {
                return Err(refused(name, "put into a bridge", "there is no such interface".to_owned()));
            };
            match controller {
                Some(controller) if controller == into => {}
                Some(_) => {
                    return Err(refused(name, "put into a bridge", "it is in another one".to_owned()));
                }
                None => {
                    if let Some(address) = link::addresses(index).await?.first() {
                        let why = format!(
                            "it has the address {address}, which the host would lose\n    hint: make a bridge of the host's own with {name} in it and the address on it, and name that bridge"
                        );
                        return Err(refused(name, "put into a bridge", why));
                    }
                    self.journal.note_link(Link::Joined(name.to_owned()))?;
                    link::set_controller(name, index, Some(into)).await?;
                }
            }
            if !up {
                self.raise(name, index).await?;
            }
        }
        // Frames go through to where the host's own protocols have no business.
        super::sysctl::write_if_there(&format!("net/ipv6/conf/{}/disable_ipv6", tap.name()), "1");
        link::set_controller(tap.name(), tap.index(), Some(into)).await?;
        if fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|on| on.trim() == "1")
        {
            tracing::warn!(
                bridge,
                "the packet filter sees bridged frames on this host (bridge-nf-call-iptables): its forward chain has to let them pass"
            );
        }
        Ok(())
    }

    /// Switches an interface on that is used frame by frame.
    ///
    /// # Errors
    /// When there is none of this name, or the system refuses.
    pub async fn wire(&mut self, name: &str) -> Result<(), SetupError> {
        match link::find(name).await? {
            Some(found) if !found.up => self.raise(name, found.index).await,
            Some(_) => Ok(()),
            None => Err(SetupError::Interface {
                action: "use",
                interface: name.to_owned(),
                error: "there is no such interface".to_owned(),
            }),
        }
    }

    async fn raise(&mut self, name: &str, index: u32) -> Result<(), SetupError> {
        self.journal.note_link(Link::Raised(name.to_owned()))?;
        link::set_up(name, index, true).await
    }

    /// Takes back what was done to interfaces that are no longer in `use_still`.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn leave_bridges(&mut self, use_still: &[&str]) -> Result<Vec<String>, SetupError> {
        let gone = self.journal.links_beside(use_still);
        let undone = undo(&gone);
        self.journal.forget_links(&gone)?;
        Ok(undone)
    }
}

/// Takes changes back, the last one first, and says which.
pub(super) fn undo(links: &[Link]) -> Vec<String> {
    let mut undone = Vec::new();
    for change in links.iter().rev() {
        let change = change.clone();
        let done = link::blocking(async move {
            let found = link::find(change.name()).await.ok().flatten()?;
            match &change {
                Link::Made(name) if found.is_bridge => {
                    link::remove(name, found.index).await.ok()?;
                    Some(format!("removed the bridge {name}"))
                }
                Link::Made(_) => None,
                Link::Joined(name) => {
                    found.controller?;
                    link::set_controller(name, found.index, None).await.ok()?;
                    Some(format!("took {name} out of its bridge"))
                }
                Link::Raised(name) => {
                    link::set_up(name, found.index, false).await.ok()?;
                    Some(format!("switched {name} off again"))
                }
            }
        });
        undone.extend(done);
    }
    undone
}
