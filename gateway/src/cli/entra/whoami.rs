//! `vestibule entra whoami`: the very token that the others use, and what it says.

use serde_json::json;
use vestibule_core::{entra::PERMISSION, text::on_one_line};

use super::{Session, print_json};
use crate::{
    cli::{Exit, print},
    entra::Trouble,
    page::time::moment,
};

impl Session<'_> {
    pub(super) async fn whoami(&self) -> Exit {
        let told = async {
            let opened = self.open().await?;
            let organization = self.graph(&opened).organization().await?;
            Ok::<_, Trouble>((opened, organization))
        };
        let (opened, organization) = match told.await {
            Ok(told) => told,
            Err(trouble) => return self.failed(&trouble, "nothing was changed"),
        };
        let facts = opened.signed_in.facts.clone().unwrap_or_default();
        let may = facts.may_change_apps();
        let name = organization.map(|organization| organization.display_name);
        if self.common.json {
            print_json(&json!({
                "tenant": opened.tenant,
                "tenant_name": name,
                "who": facts.who(),
                "by": opened.means,
                "permissions": facts.permissions(),
                "may_change_apps": may,
                "expires": facts.expires().map(moment),
            }));
            return Exit::Ok;
        }
        let name = name.unwrap_or_else(|| "its name may not be read".to_owned());
        let mut out = format!(
            "tenant       {}  ({})\n",
            opened.tenant,
            on_one_line(&name, 80)
        );
        let readable = opened.signed_in.facts.is_some();
        if readable {
            let who = on_one_line(&facts.who(), 80);
            out.push_str(&format!("signed in    {who}, by {}\n", opened.means));
            out.push_str(&format!(
                "permissions  {}\n",
                on_one_line(&facts.permissions().join(" "), 400)
            ));
            if let Some(ends) = facts.expires() {
                out.push_str(&format!("token ends   {}\n", moment(ends)));
            }
            out.push_str(&match may {
                true => {
                    "ok   it may change app registrations, as far as the token says\n".to_owned()
                }
                false => format!(
                    "FAIL it lacks {} (a program: {})\n",
                    PERMISSION.delegated, PERMISSION.application
                ),
            });
        } else {
            out.push_str(&format!(
                "signed in    by {}; the token says nothing more\n",
                opened.means
            ));
        }
        print(&out);
        if readable && !may {
            Exit::Failed
        } else {
            Exit::Ok
        }
    }
}
