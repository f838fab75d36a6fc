//! Approval on another screen (RFC 8628): a program without a browser shows a short code,
//! and a person types it into ours.
//!
//! The approval itself is an authorization request of our own making: its answer comes back
//! to our own page, and its code is redeemed when the device asks for it. So consent, login
//! and the single use of a code are the same as in a browser.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    authorize::{AskConsent, LoginWishes},
    client::{Client, GrantType, MatchedRedirect},
    params::{Params, Repeated},
    pkce::CodeVerifier,
    resource::Catalogue,
    scope::ScopeSet,
    secret::{Digest, MacKey, Secret},
    time::Timestamp,
    uri::{Issuer, RedirectKind},
};

use super::TokenError;

/// What every device code begins with.
pub const PREFIX: &str = "vdv_";

/// How long a person has to type the code.
pub const LIFE: Duration = Duration::from_secs(600);

/// Seconds between two questions of a device at first; each one that comes too early adds
/// five (RFC 8628 §3.5).
pub const INTERVAL: u32 = 5;

/// Our own page at which the approval comes back.
pub const DONE_PATH: &str = "/device/done";

/// The token request of a waiting device.
#[derive(Debug, Clone)]
pub struct PollDevice {
    /// The code that it was given.
    pub device_code: Secret,
}

/// What a person types: eight consonants, so that no word comes out (RFC 8628 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserCode([u8; 8]);

const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

impl UserCode {
    /// A code out of random bytes; `None` for bytes that would favour some letters.
    pub fn from_random(bytes: &[u8; 16]) -> Option<Self> {
        let mut code = [0; 8];
        let mut fair = bytes.iter().filter(|byte| **byte < 240);
        for place in &mut code {
            *place = ALPHABET[usize::from(fair.next()? % 20)];
        }
        Some(Self(code))
    }

    /// Reads a code as a person may type it: case, dashes and blanks do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let mut letters = text
            .bytes()
            .filter(|b| b.is_ascii_alphanumeric())
            .map(|b| b.to_ascii_uppercase());
        let mut code = [0; 8];
        for place in &mut code {
            *place = letters.next().filter(|b| ALPHABET.contains(b))?;
        }
        letters.next().is_none().then_some(Self(code))
    }

    /// Under which the store has it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::str::from_utf8(&self.0).unwrap_or_default();
        write!(f, "{}-{}", &text[..4], &text[4..])
    }
}

/// What a device asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// Which client it is.
    pub client_id: String,
    /// For which server.
    pub resource: String,
    /// For what.
    pub scopes: ScopeSet,
}

/// How a device's request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceState {
    /// Whose it is.
    pub client_id: String,
    /// When it is too late.
    pub expires: Timestamp,
    /// When it last asked.
    pub polled: Option<Timestamp>,
    /// Seconds it must wait between two questions.
    pub interval: u32,
    /// What came of it.
    pub outcome: DeviceOutcome,
}

/// What came of a device's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceOutcome {
    /// Nobody decided yet.
    Pending,
    /// The person declined, or could not sign in.
    Denied,
    /// A code waits for it.
    Approved,
}

/// Judges the request of a device for its codes (RFC 8628 §3.1).
///
/// # Errors
/// [`TokenError`].
pub fn request(
    params: &Params<'_>,
    client: &Client,
    catalogue: &Catalogue,
) -> Result<DeviceRequest, TokenError> {
    if !client.grants.contains(GrantType::DeviceCode) {
        return Err(TokenError::GrantTypeNotAllowed);
    }
    let asked = params
        .one("scope")
        .map_err(|Repeated| TokenError::Repeated)?
        .map(|text| ScopeSet::parse(text).map_err(|_| TokenError::ScopeUnknown))
        .transpose()?;
    let resource = catalogue
        .named(params.all("resource"))
        .map_err(|_| TokenError::TargetUnknown)?;
    if !client.may_reach(&resource.uri) {
        return Err(TokenError::TargetUnknown);
    }
    let scopes = catalogue
        .askable(resource, asked.as_ref(), client.scopes.as_ref())
        .ok_or(TokenError::ScopeUnknown)?;
    Ok(DeviceRequest {
        client_id: client.id.clone(),
        resource: resource.uri.clone(),
        scopes,
    })
}

/// Judges a question of a waiting device (RFC 8628 §3.5): whether its code may be redeemed
/// now. Another client's question is as if the code were unknown.
///
/// # Errors
/// [`TokenError`]; after [`TokenError::DeviceTooFast`] the edge adds five seconds.
pub fn judge(client: &Client, state: &DeviceState, now: Timestamp) -> Result<(), TokenError> {
    if state.client_id != client.id || now >= state.expires {
        return Err(TokenError::DeviceExpired);
    }
    match state.outcome {
        DeviceOutcome::Denied => Err(TokenError::DeviceDenied),
        DeviceOutcome::Approved => Ok(()),
        DeviceOutcome::Pending => {
            let wait = Duration::from_secs(u64::from(state.interval));
            match state.polled {
                // A second early is the network's doing.
                Some(last) if now.since(last) + Duration::from_secs(1) < wait => {
                    Err(TokenError::DeviceTooFast)
                }
                _ => Err(TokenError::DevicePending),
            }
        }
    }
}

/// What the person is asked: our own authorization request for this device. `device` names
/// it to our own page, and the code that comes back answers [`verifier`] alone.
pub fn ask(request: &DeviceRequest, device: &Digest, key: &MacKey, issuer: &Issuer) -> AskConsent {
    let kind = if issuer.is_plain_http() {
        RedirectKind::Loopback
    } else {
        RedirectKind::Https
    };
    AskConsent {
        client_id: request.client_id.clone(),
        redirect: MatchedRedirect::restored(format!("{issuer}{DONE_PATH}"), kind),
        state: Some(device.text()),
        challenge: verifier(device, key).challenge(),
        resource: request.resource.clone(),
        scopes: request.scopes.clone(),
        login: LoginWishes::default(),
        dpop_key: None,
    }
}

/// What redeems the code of this device.
pub fn verifier(device: &Digest, key: &MacKey) -> CodeVerifier {
    CodeVerifier::from_random(&key.tag(&[b"device verifier", device.bytes()]))
}

/// Whether an approval is on its way back to a device rather than to a client's own address.
pub fn is_for_device(ask: &AskConsent, issuer: &Issuer) -> bool {
    ask.redirect.text().strip_prefix(issuer.text()) == Some(DONE_PATH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::tests::client, resource::tests::catalogue};

    #[test]
    fn a_code_is_typed_in_any_way() {
        let code = UserCode::from_random(&[0; 16]).expect("fair bytes");
        assert_eq!(code.to_string(), "BBBB-BBBB");
        for typed in ["BBBB-BBBB", "bbbbbbbb", " bbbb bbbb ", "B-B-B-B-B-B-B-B"] {
            assert_eq!(UserCode::parse(typed), Some(code), "{typed}");
        }
        for bad in ["BBBB-BBB", "BBBB-BBBBB", "AAAA-AAAA", "BBBB-BBB1", ""] {
            assert_eq!(UserCode::parse(bad), None, "{bad}");
        }
        assert_eq!(UserCode::from_random(&[250; 16]), None);
    }

    #[test]
    fn a_device_waits_its_turn_and_gets_only_its_own() {
        use TokenError as E;
        let state = |outcome, polled: Option<u64>, interval| DeviceState {
            client_id: "vcl_test".into(),
            expires: Timestamp::from_unix(1600),
            polled: polled.map(Timestamp::from_unix),
            interval,
            outcome,
        };
        use DeviceOutcome::{Approved, Denied, Pending};
        let other = Client {
            id: "vcl_other".into(),
            ..client(&[])
        };
        let mine = client(&[]);
        let table = [
            (&mine, state(Pending, None, 5), 1000, Err(E::DevicePending)),
            (
                &mine,
                state(Pending, Some(995), 5),
                1000,
                Err(E::DevicePending),
            ),
            (
                &mine,
                state(Pending, Some(997), 5),
                1000,
                Err(E::DeviceTooFast),
            ),
            (
                &mine,
                state(Pending, Some(995), 10),
                1000,
                Err(E::DeviceTooFast),
            ),
            (&mine, state(Denied, None, 5), 1000, Err(E::DeviceDenied)),
            (&mine, state(Approved, Some(999), 5), 1000, Ok(())),
            (&mine, state(Approved, None, 5), 1600, Err(E::DeviceExpired)),
            (
                &other,
                state(Approved, None, 5),
                1000,
                Err(E::DeviceExpired),
            ),
        ];
        for (client, state, now, expected) in table {
            let got = judge(client, &state, Timestamp::from_unix(now));
            assert_eq!(got, expected, "{state:?}");
        }
    }

    #[test]
    fn a_device_s_approval_comes_back_to_our_own_page_only() {
        let issuer = Issuer::parse("https://gw.example").expect("an origin");
        let key = MacKey::new(&[1; 32]);
        let params = Params::parse("resource=https://gw.example/a/mcp").expect("readable");
        let request = request(&params, &client(&[]), &catalogue(&["a", "b"])).expect("good");
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let ask = ask(&request, &one, &key, &issuer);
        assert!(is_for_device(&ask, &issuer));
        assert!(!is_for_device(&crate::authorize::tests::ask(), &issuer));
        assert_eq!(ask.challenge, verifier(&one, &key).challenge());
        assert_ne!(ask.challenge, verifier(&two, &key).challenge());
    }
}
