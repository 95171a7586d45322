//! Android imports no L2TP profile: the steps, with what is to be typed.

use super::{Account, Profile};

pub(super) fn android(account: &Account) -> Profile {
    let Account { name, server, psk, user, password, routes, .. } = account;
    let password = password.as_deref().unwrap_or("(the one that you were given)");
    let routes = if routes.is_empty() {
        "leave it empty: everything goes through the VPN".to_owned()
    } else {
        routes.join(" ")
    };
    let steps = format!(
        "Android 4 to 11 (later ones have no L2TP any more), Settings > Network & internet > VPN > +\n\
         \n  Name                     {name}\
         \n  Type                     L2TP/IPSec PSK\
         \n  Server address           {server}\
         \n  L2TP secret              leave it empty\
         \n  IPSec identifier         leave it empty\
         \n  IPSec pre-shared key     {psk}\
         \n  Forwarding routes        {routes} (under advanced options)\
         \n\nSave, tap the name, then\
         \n\n  Username                 {user}\
         \n  Password                 {password}\n"
    );
    Profile { files: Vec::new(), steps }
}
