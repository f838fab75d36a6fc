//! `WWW-Authenticate` as a client reads it (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, in lower case.
    pub scheme: String,
    /// Its parameters in their order, names in lower case.
    pub params: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter; the first of that name.
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// All challenges of one header value; what cannot be read ends the list.
pub fn parse(value: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let (token, after) = token(rest);
        if token.is_empty() {
            break;
        }
        let after = after.trim_start();
        match (after.strip_prefix('='), challenges.last_mut()) {
            // A name with a value belongs to the scheme before it.
            (Some(value), Some(challenge)) if !token.is_empty() => {
                let Some((value, after)) = self::value(value.trim_start()) else {
                    break;
                };
                challenge.params.push((token.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(_), None) => break,
            _ => {
                challenges.push(Challenge {
                    scheme: token.to_ascii_lowercase(),
                    params: Vec::new(),
                });
                rest = after;
            }
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    challenges
}

fn token(text: &str) -> (&str, &str) {
    let is = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    text.split_at(text.find(|c| !is(c)).unwrap_or(text.len()))
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return Some((value.to_owned(), rest));
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &quoted[at + 1..])),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_however_they_are_written() {
        let of = |text: &str| -> Vec<(String, Vec<(String, String)>)> {
            parse(text)
                .into_iter()
                .map(|challenge| (challenge.scheme, challenge.params))
                .collect()
        };
        let params = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let bearer = |list| vec![("bearer".to_owned(), params(list))];
        assert_eq!(of("Bearer"), bearer(&[]));
        assert_eq!(
            of(r#"Bearer realm="example""#),
            bearer(&[("realm", "example")])
        );
        assert_eq!(
            of(r#"bearer Error="invalid_token" , scope = "a b",x=y"#),
            bearer(&[("error", "invalid_token"), ("scope", "a b"), ("x", "y")])
        );
        assert_eq!(
            of(r#"Bearer error_description="say \"hi\", x=1""#),
            bearer(&[("error_description", "say \"hi\", x=1")])
        );
        assert_eq!(
            of(r#"Basic realm="a", DPoP algs="ES256", Bearer resource_metadata="https://a/b""#),
            [
                ("basic".to_owned(), params(&[("realm", "a")])),
                ("dpop".to_owned(), params(&[("algs", "ES256")])),
                (
                    "bearer".to_owned(),
                    params(&[("resource_metadata", "https://a/b")])
                ),
            ]
        );
        assert_eq!(of(""), []);
        assert_eq!(of("=x"), []);
        assert_eq!(of(r#"Bearer realm="never ends"#), bearer(&[]));
    }
}
