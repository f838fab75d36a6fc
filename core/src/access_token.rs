//! Access tokens: sealed, self-contained, and mute to whoever holds them.
//!
//! `vat_` and base64url of a sealed record in a fixed layout. The guard opens one with one
//! AEAD operation and asks no store. Issuer and kind are associated data, so a token of
//! another gateway, or another kind of sealed value, does not open.

pub mod jwt;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    id::{ClientRef, GrantId, PersonId, TokenId},
    scope::ScopeSet,
    seal::{Kind, Sealer},
    time::Timestamp,
};

/// What every access token begins with.
pub const PREFIX: &str = "vat_";

/// Longest token that is looked at: room for some hundred groups that rules name.
pub const TOKEN_MAX: usize = 8192;

const VERSION: u8 = 1;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// This token.
    pub id: TokenId,
    /// The login it came from.
    pub grant: GrantId,
    /// The person, or the client itself for a machine's own token.
    pub subject: PersonId,
    /// Whether the subject is a machine.
    pub machine: bool,
    /// The client.
    pub client: ClientRef,
    /// The subject's epoch when this was issued; a later epoch ends it.
    pub subject_epoch: u32,
    /// The client's epoch when this was issued.
    pub client_epoch: u32,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The one audience: the canonical identifier of an MCP server.
    pub resource: String,
    /// What it may be used for.
    pub scopes: ScopeSet,
    /// Thumbprint of the key it is bound to (RFC 9449 §6), if any.
    pub confirmation: Option<[u8; 32]>,
    /// The client that acts for the subject, if this token was exchanged (RFC 8693 §4.1).
    pub actor: Option<ClientRef>,
    /// Groups and roles of the person that a rule names.
    pub groups: Vec<String>,
}

/// Whatever turns the text of an access token back into what it says.
pub trait Opens {
    /// The token; `None` for anything that was not minted here, whatever the reason.
    fn open(&self, text: &str) -> Option<Arc<AccessToken>>;
}

impl Opens for Sealer {
    fn open(&self, text: &str) -> Option<Arc<AccessToken>> {
        AccessToken::open(text, self).map(Arc::new)
    }
}

impl AccessToken {
    /// The token's text; `nonce` is random. `None` if it says so much that [`Self::open`]
    /// would not read it: somebody in more groups that rules name than fit.
    pub fn mint(&self, sealer: &Sealer, nonce: [u8; 12]) -> Option<String> {
        if self.groups.len() > usize::from(u8::MAX) {
            return None;
        }
        let sealed = sealer.seal(Kind::AccessToken, &[], nonce, &self.encode());
        let mut out = String::with_capacity(PREFIX.len() + sealed.len() * 4 / 3 + 4);
        out.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(sealed, &mut out);
        (out.len() <= TOKEN_MAX).then_some(out)
    }

    /// Opens a token. `None` for anything that was not minted here, whatever the reason.
    pub fn open(text: &str, sealer: &Sealer) -> Option<Self> {
        if text.len() > TOKEN_MAX {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let plain = sealer.open(Kind::AccessToken, &[], &mut bytes)?;
        Self::decode(plain)
    }

    /// `token_type` of the answer that brings it (RFC 6749 §7.1, RFC 9449 §5).
    pub fn token_type(&self) -> &'static str {
        match self.confirmation {
            Some(_) => "DPoP",
            None => "Bearer",
        }
    }

    /// The `cnf` claim (RFC 9449 §6.1), if it is bound to a key.
    pub fn confirmation_claim(&self) -> Option<serde_json::Value> {
        let thumbprint = self.confirmation?;
        Some(serde_json::json!({ "jkt": URL_SAFE_NO_PAD.encode(thumbprint) }))
    }

    fn encode(&self) -> Vec<u8> {
        let scopes = self.scopes.to_string();
        let mut out = Vec::with_capacity(128 + self.resource.len() + scopes.len());
        out.push(VERSION);
        out.push(
            u8::from(self.machine)
                | u8::from(self.confirmation.is_some()) << 1
                | u8::from(self.actor.is_some()) << 2,
        );
        out.extend_from_slice(self.id.bytes());
        out.extend_from_slice(self.grant.bytes());
        out.extend_from_slice(self.subject.bytes());
        out.extend_from_slice(self.client.bytes());
        out.extend_from_slice(&self.subject_epoch.to_be_bytes());
        out.extend_from_slice(&self.client_epoch.to_be_bytes());
        out.extend_from_slice(&self.issued.unix().to_be_bytes());
        out.extend_from_slice(&self.expires.unix().to_be_bytes());
        if let Some(thumbprint) = &self.confirmation {
            out.extend_from_slice(thumbprint);
        }
        if let Some(actor) = &self.actor {
            out.extend_from_slice(actor.bytes());
        }
        put_text(&mut out, &self.resource);
        put_text(&mut out, &scopes);
        out.push(u8::try_from(self.groups.len()).unwrap_or(u8::MAX));
        for group in &self.groups {
            put_text(&mut out, group);
        }
        out
    }

    fn decode(plain: &[u8]) -> Option<Self> {
        let mut rest = plain;
        let [version, flags] = take(&mut rest)?;
        if version != VERSION {
            return None;
        }
        let id = TokenId::new(take(&mut rest)?);
        let grant = GrantId::new(take(&mut rest)?);
        let subject = PersonId::new(take(&mut rest)?);
        let client = ClientRef::new(take(&mut rest)?);
        let subject_epoch = u32::from_be_bytes(take(&mut rest)?);
        let client_epoch = u32::from_be_bytes(take(&mut rest)?);
        let issued = Timestamp::from_unix(u64::from_be_bytes(take(&mut rest)?));
        let expires = Timestamp::from_unix(u64::from_be_bytes(take(&mut rest)?));
        let confirmation = if flags & 2 == 0 {
            None
        } else {
            Some(take(&mut rest)?)
        };
        let actor = if flags & 4 == 0 {
            None
        } else {
            Some(ClientRef::new(take(&mut rest)?))
        };
        let resource = take_text(&mut rest)?.to_owned();
        let scopes = ScopeSet::parse(take_text(&mut rest)?).ok()?;
        let [count] = take(&mut rest)?;
        let groups = (0..count)
            .map(|_| take_text(&mut rest).map(str::to_owned))
            .collect::<Option<Vec<_>>>()?;
        rest.is_empty().then_some(Self {
            id,
            grant,
            subject,
            machine: flags & 1 == 1,
            client,
            subject_epoch,
            client_epoch,
            issued,
            expires,
            resource,
            scopes,
            confirmation,
            actor,
            groups,
        })
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn take_text<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::seal::tests::sealer;

    pub(crate) fn token() -> AccessToken {
        AccessToken {
            id: TokenId::new([1; 16]),
            grant: GrantId::new([2; 16]),
            subject: PersonId::new([3; 16]),
            machine: false,
            client: ClientRef::new([4; 16]),
            subject_epoch: 5,
            client_epoch: 6,
            issued: Timestamp::from_unix(1000),
            expires: Timestamp::from_unix(1600),
            resource: "https://gw.example/a/mcp".into(),
            scopes: ScopeSet::of(["read"]),
            confirmation: None,
            actor: None,
            groups: vec![],
        }
    }

    #[test]
    fn a_token_says_what_was_put_in() {
        let sealer = sealer();
        let full = AccessToken {
            machine: true,
            confirmation: Some([9; 32]),
            actor: Some(ClientRef::new([5; 16])),
            groups: vec!["g1".into(), "g2".into()],
            ..token()
        };
        for token in [token(), full] {
            let text = token.mint(&sealer, [1; 12]).expect("it fits");
            assert!(text.starts_with(PREFIX));
            assert_eq!(AccessToken::open(&text, &sealer), Some(token));
        }
    }

    #[test]
    fn t_tok_01_a_token_tells_its_holder_nothing() {
        let text = token().mint(&sealer(), [1; 12]).expect("it fits");
        let bytes = URL_SAFE_NO_PAD
            .decode(&text[PREFIX.len()..])
            .expect("base64url");
        assert!(!bytes.windows(10).any(|w| w == b"gw.example"));
    }

    #[test]
    fn t_grd_05_t_grd_09_nothing_but_the_whole_token_opens() {
        let sealer = sealer();
        let text = token().mint(&sealer, [1; 12]).expect("it fits");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ascii");
            assert_eq!(AccessToken::open(&forged, &sealer), None, "changed at {at}");
            assert_eq!(AccessToken::open(&text[..at], &sealer), None, "cut at {at}");
        }
        for junk in [
            "",
            "vat_",
            "vat_%%%",
            "vrt_abc",
            "Bearer",
            "vat_\0",
            &"A".repeat(1 << 20),
        ] {
            assert_eq!(AccessToken::open(junk, &sealer), None);
        }
    }

    #[test]
    fn t_grd_04_another_kind_of_sealed_value_is_no_token() {
        let sealer = sealer();
        let sealed = sealer.seal(Kind::Ticket, &[], [1; 12], &token().encode());
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
        assert_eq!(AccessToken::open(&text, &sealer), None);
    }

    #[test]
    fn tkn_10_rs_9_what_does_not_fit_is_not_minted() {
        let with = |count: usize, length: usize| AccessToken {
            groups: (0..count).map(|n| format!("group:{n:0length$}")).collect(),
            ..token()
        };
        let fits = with(100, 36).mint(&sealer(), [1; 12]).expect("it fits");
        assert_eq!(AccessToken::open(&fits, &sealer()), Some(with(100, 36)));
        assert_eq!(
            with(256, 2).mint(&sealer(), [1; 12]),
            None,
            "none is left out"
        );
        assert_eq!(with(250, 200).mint(&sealer(), [1; 12]), None);
    }
}
