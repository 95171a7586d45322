//! The owner's side of the access list: classes for users, and lists that are exchanged without a gap.

use super::access::{Compiled, Counted};
use super::fdb::station;
use super::{Hub, PortId, client_value};
use crate::identity::folded;
use std::sync::Arc;

impl Hub {
    /// The access list with what each rule has met.
    pub fn access_list(&self) -> impl Iterator<Item = Counted> {
        self.tables.access.counted()
    }

    /// The class of a user whose port opens. Published before any frame of the port can come.
    pub(super) fn class_of(&mut self, user: &str) -> Option<u16> {
        let rules = Arc::clone(&self.settings.access);
        let (class, new) = self.classes.admit(&folded(user), &rules)?;
        if new {
            self.compile_access();
        }
        Some(class)
    }

    /// Compiles the list of the settings and publishes it.
    pub(super) fn compile_access(&mut self) {
        let list = Compiled::new(&self.settings.access, &self.classes, &self.tables.access);
        self.tables.access = Arc::new(list);
        self.tables.changed();
        self.publish();
    }

    /// Follows a change of the list while frames go on: at no moment is there no list, or one that takes a user for another.
    pub(super) fn renew_access(&mut self) {
        let before = Arc::clone(self.tables.access.source());
        let rules = Arc::clone(&self.settings.access);
        if before == rules {
            return;
        }
        let users: Vec<(PortId, Arc<str>)> =
            self.ports.iter().filter_map(|(port, record)| Some((*port, record.info.user.clone()?))).collect();
        let mut classes = Vec::new();
        for (port, user) in users {
            // Without a number left the user stays unnamed; 65,000 users named by rules are more than a hub has ports.
            let class = self.classes.admit(&folded(&user), &rules).map_or(0, |(class, _)| class);
            classes.push((port, class));
        }
        // First the old list learns the new classes, then the ports get them, then the new list counts.
        self.tables.access = Arc::new(Compiled::new(&before, &self.classes, &self.tables.access));
        self.tables.changed();
        self.publish();
        for (port, class) in classes {
            if let Some(record) = self.ports.get_mut(&port).filter(|record| record.class != class) {
                record.class = class;
                let value = client_value(port, &record.policy, class);
                self.tables.stations.insert(station(record.info.mac, 0), value.0);
            }
        }
        self.compile_access();
    }
}
