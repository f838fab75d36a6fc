//! Faults of the calls after a login.

use std::net::TcpListener;

use crate::{
    scene::{Scene, Seen},
    support::{CLIENT, Gate, PING, idp::Idp, tool_call, wait_until, wire::Answer},
};

/// Servers besides the usual: one that is not there, and one with a rule for a tool.
const SERVERS: &str = "
    [servers.gone]
    path = \"/gone/mcp\"
    upstream = \"http://127.0.0.1:9/mcp\"
    [servers.ruled]
    path = \"/ruled/mcp\"
    upstream = \"ECHO\"
    tools.\"delete_*\" = { allow = [\"group:editors\"] }
";

/// Causes one of them, with what its record tells a moment later.
pub(super) fn cause(fault: &str) -> Option<(Scene, Seen)> {
    // It takes what is sent, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let scene = match fault {
        "server-hangs" => {
            let port = silent.local_addr().expect("bound").port();
            Scene::at(
                &format!(
                    "[limits]\nupstream_time = \"1s\"\n[servers.slow]\npath = \"/slow/mcp\"\n\
                     upstream = \"http://127.0.0.1:{port}/mcp\"\n"
                ),
                Idp::start(),
            )
        }
        _ => Scene::with(SERVERS),
    };
    let server = match fault {
        "server-down" => "gone",
        "server-hangs" => "slow",
        "tool-denied-by-rule" => "ruled",
        _ => "a",
    };
    let (flow, access) = scene.access(server);
    let answer = call(&scene.gate, fault, server, &access)?;
    let seen = Seen::of_call(Some(flow.clone()), &answer);
    // Of these nobody can tell whose login they belong to.
    if ["token-doubled", "token-forged", "page-of-another-site"].contains(&fault) {
        return Some((scene, Seen { flow: None, ..seen }));
    }
    let named = seen.named.clone().unwrap_or_default();
    wait_until("the record tells it", || {
        scene.record(&flow).1.contains(&format!("/errors/{named}"))
    });
    Some((scene, seen))
}

fn call(gate: &Gate, fault: &str, server: &str, access: &str) -> Option<Answer> {
    let bearer = format!("Bearer {access}");
    let good = ("authorization", bearer.as_str());
    Some(match fault {
        "server-down" | "server-hangs" => gate.call(server, access, PING),
        "server-answers-html" => {
            gate.echo.answers(200, "text/html", "<html>Sign in</html>");
            gate.call(server, access, PING)
        }
        "server-asks-for-credentials" => {
            gate.echo.answers(401, "application/json", "{}");
            gate.call(server, access, PING)
        }
        "headers-of-another-era" => {
            let headers = [
                good,
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "tools/list"),
            ];
            gate.post_mcp(server, &headers, PING)
        }
        "session-of-another" => {
            gate.post_mcp(server, &[good, ("mcp-session-id", "of-nobody")], PING)
        }
        "token-doubled" => gate.post_mcp(server, &[good, good], PING),
        "token-forged" => gate.call(server, "vat_forged", PING),
        "token-expired" => {
            gate.turn_clock(700);
            gate.call(server, access, PING)
        }
        "token-for-another-server" => gate.call("b", access, PING),
        "revoked-in-mid-use" => {
            assert_eq!(gate.call(server, access, PING).status, 200);
            let form = [("token", access), ("client_id", CLIENT)];
            let done = gate.wire().post_form(&gate.host(), "/revoke", &form, &[]);
            assert_eq!(done.status, 200, "{}", done.text());
            gate.call(server, access, PING)
        }
        "token-without-its-key" => {
            let proof = format!("DPoP {access}");
            gate.post_mcp(server, &[("authorization", &proof)], PING)
        }
        "scope-missing-for-a-tool" => gate.call(server, access, &tool_call("set_alert")),
        "tool-denied-by-rule" => gate.call(server, access, &tool_call("delete_all")),
        "page-of-another-site" => {
            gate.post_mcp(server, &[good, ("origin", "https://evil.example")], PING)
        }
        _ => return None,
    })
}
