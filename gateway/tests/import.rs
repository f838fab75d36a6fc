//! `vestibule import apim-lab`, as somebody types it.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};

const TENANT: &str = "5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11";

fn import(folder: &Path, params: &Value, more: &[&str]) -> (i32, String) {
    std::fs::write(folder.join("params.json"), params.to_string()).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["import", "apim-lab", "params.json"])
        .args(more)
        .current_dir(folder)
        .output()
        .expect("runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.contains("canary"), "no secret is shown: {text}");
    (output.status.code().unwrap_or(-1), text)
}

fn lab() -> Value {
    json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
        "parameters": {
            "apimSku": { "value": "Basicv2" },
            "entraIDTenantId": { "value": TENANT },
            "entraIDClientId": { "value": "0b6a8c52-3e0f-4b1d-9f57-2f1f6a4b0a01" },
            "entraIDClientSecret": { "value": "canary-lab-secret" },
            "mcpClientId": { "value": "another" },
            "oauthScopes": { "value": "openid https://graph.microsoft.com/.default" },
            "encryptionIV": { "value": "canary-iv" },
            "encryptionKey": { "value": "canary-key" },
        },
    })
}

#[test]
fn e4_e5_b16_b17_b18_the_lab_s_values_become_a_configuration_that_check_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, told) = import(
        folder.path(),
        &lab(),
        &["--public-url", "https://mcp.example.com"],
    );
    assert_eq!(code, 0, "{told}");
    for part in [
        "encryptionKey",
        "mcpClientId",
        "oauthScopes",
        "entra adopt",
        "delete that file",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let config = std::fs::read_to_string(folder.path().join("vestibule.toml")).expect("written");
    assert!(
        config.contains(TENANT) && !config.contains("canary"),
        "{config}"
    );
    let secret = folder.path().join("entra/client_secret");
    assert_eq!(
        std::fs::read_to_string(&secret).expect("written"),
        "canary-lab-secret"
    );
    let mode = std::fs::metadata(&secret)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
    let check = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .arg("check")
        .current_dir(folder.path())
        .output()
        .expect("runs");
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
    // What is there is not written over.
    let (code, told) = import(folder.path(), &lab(), &[]);
    assert_eq!(code, 6, "{told}");
    let (code, told) = import(folder.path(), &lab(), &["--force"]);
    assert_eq!(code, 1, "its secret is somebody's: {told}");
}

#[test]
fn q4_q5_what_a_failed_cell_left_null_is_named_and_nothing_is_written() {
    for (name, change, part) in [
        (
            "null",
            json!({ "entraIDClientSecret": { "value": null } }),
            "client secret",
        ),
        (
            "empty",
            json!({ "entraIDTenantId": { "value": " " } }),
            "tenant id",
        ),
        (
            "a domain",
            json!({ "entraIDTenantId": { "value": "contoso.com" } }),
            "no tenant's id",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = lab();
        for (key, value) in change.as_object().expect("an object") {
            params["parameters"][key] = value.clone();
        }
        let (code, told) = import(folder.path(), &params, &[]);
        assert_eq!(code, 2, "{name}: {told}");
        assert!(
            told.contains("V-INI-010") && told.contains(part),
            "{name}: {told}"
        );
        assert!(!folder.path().join("vestibule.toml").exists(), "{name}");
        assert!(!folder.path().join("entra").exists(), "{name}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(import(folder.path(), &json!([]), &[]).0, 2);
}
