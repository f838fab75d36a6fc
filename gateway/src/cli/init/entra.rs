//! `vestibule init --idp entra`: the client id and the secret are made afterwards, by
//! `vestibule entra apply`.

use std::fmt::Write as _;

use vestibule_core::uri::Issuer;

use super::{Arguments, Exit, Refused, client, quoted, refused, runtime, unreachable};
use crate::entra::{Class, sign_in::tenant_id};

const AUTHORITY: &str = "https://login.microsoftonline.com";

/// The tenant's id.
pub(super) fn tenant(arguments: &Arguments) -> Result<String, Refused> {
    let Some(tenant) = &arguments.tenant else {
        let fix = "add --tenant, its id or a domain of it such as contoso.com";
        return Err(refused(
            "V-INI-008",
            "the Entra tenant is not named",
            fix,
            Exit::Usage,
        ));
    };
    let authority = arguments.authority.as_deref().unwrap_or(AUTHORITY);
    let client = client().map_err(|error| unreachable(error, authority))?;
    let runtime = runtime().map_err(|error| unreachable(error, authority))?;
    let found = runtime.block_on(tenant_id(&client, authority.trim_end_matches('/'), tenant));
    found.map_err(|trouble| {
        let exit = match trouble.class {
            Class::Unreachable => Exit::Unreachable,
            _ => Exit::Usage,
        };
        refused(trouble.code, trouble.what, trouble.fix, exit)
    })
}

/// The table `[idp]`, and `[entra]` where it is not the worldwide cloud.
pub(super) fn idp(arguments: &Arguments, tenant: &str) -> String {
    let mut out = format!(
        "\n[idp]\nkind          = \"entra\"\ntenant        = {}\n\
         client_id     = {{ file = \"entra/client_id\" }}      # vestibule entra apply writes\n\
         client_secret = {{ file = \"entra/client_secret\" }}  # both of these\n",
        quoted(tenant)
    );
    let places = [
        ("authority", &arguments.authority),
        ("graph    ", &arguments.graph),
    ];
    if places.iter().any(|(_, place)| place.is_some()) {
        out.push_str("\n[entra]\n");
    }
    for (key, place) in places {
        if let Some(place) = place {
            let _ = writeln!(out, "{key} = {}", quoted(place));
        }
    }
    out
}

pub(super) fn told(arguments: &Arguments, public_url: &Issuer, tenant: &str) -> String {
    let config = arguments.config.display();
    format!(
        "ok   {config} written for Entra tenant {tenant}

Then, signed in by  az login --tenant {tenant}  or with --auth device:
  vestibule entra plan  -c {config}     what would be made; nothing is changed
  vestibule entra apply -c {config}     makes the app, its secret and {public_url}/oauth-callback
  vestibule serve -c {config}
"
    )
}
